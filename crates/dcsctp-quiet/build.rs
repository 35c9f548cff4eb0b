//! Copies the sources of dcsctp, as Cargo has fetched them, and makes the few changes below. Goes when a release of dcsctp
//! looks at the log's level first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// File, what stands there, what shall stand there.
const CHANGES: [(&str, &str, &str); 5] = [
    (
        "lib.rs",
        "    pub fn log_packet(name: &str, ts: SocketTime, sent: bool, data: &[u8]) {\n",
        "    pub fn log_packet(name: &str, ts: SocketTime, sent: bool, data: &[u8]) {
        if !log::log_enabled!(log::Level::Info) {
            return;
        }\n",
    ),
    // An included file may not find its macros by the paths of the crate.
    ("socket/state.rs", "#[macro_export]\n", ""),
    ("socket/state.rs", "\n      };\n  };\n}\n", "\n      };\n  };\n}\npub(crate) use transition_between;\n"),
    ("socket/connect.rs", "use crate::transition_between;", "use crate::socket::state::transition_between;"),
    ("socket/shutdown.rs", "use crate::transition_between;", "use crate::socket::state::transition_between;"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let ours = PathBuf::from(variable("OUT_DIR")).join("dcsctp");
    copy(&sources(), &ours);
    for (file, from, to) in CHANGES {
        let path = ours.join(file);
        let text = fs::read_to_string(&path).expect("a source of dcsctp");
        assert_eq!(text.matches(from).count(), 1, "dcsctp's {file} is not the one that this was written for: {from}");
        fs::write(&path, text.replace(from, to)).expect("our copy can be written");
    }
}

/// Where Cargo has them: in its registry, or wherever it was told to take packages from.
fn sources() -> PathBuf {
    let told = Command::new(variable("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", &variable("TARGET")])
        .output()
        .expect("Cargo runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let packages = told["packages"].as_array().expect("packages");
    let dcsctp = packages.iter().find(|package| package["name"] == "dcsctp").expect("dcsctp is one of them");
    Path::new(dcsctp["manifest_path"].as_str().expect("a path")).with_file_name("src")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory for our copy");
    for entry in fs::read_dir(from).expect("the sources can be listed") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).expect("a file can be copied");
        }
    }
}

fn variable(name: &str) -> String {
    env::var(name).expect("Cargo sets it")
}
