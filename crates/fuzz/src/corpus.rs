//! Corpora on disk.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::seeds;
use crate::targets::Target;

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// File name.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Where the corpus of a target lives in the source tree.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Every file of a target's corpus, by name.
pub fn load(target: &str) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(folder(target))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        entries.push(Entry { name, bytes: fs::read(file.path())? });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The generated files of a target's corpus, as they should be on disk.
pub fn generated(target: &Target) -> Vec<Entry> {
    let name = |index| format!("{GENERATED_PREFIX}{index:03}");
    seeds::of(target).into_iter().enumerate().map(|(index, bytes)| Entry { name: name(index), bytes }).collect()
}

/// Rewrites the generated files of a target's corpus and leaves the others alone.
pub fn regenerate(target: &Target) -> io::Result<usize> {
    let folder = folder(target.name);
    fs::create_dir_all(&folder)?;
    for entry in load(target.name)? {
        if entry.name.starts_with(GENERATED_PREFIX) {
            fs::remove_file(folder.join(entry.name))?;
        }
    }
    let entries = generated(target);
    for entry in &entries {
        fs::write(folder.join(&entry.name), &entry.bytes)?;
    }
    Ok(entries.len())
}

/// Names of generated files start with this.
pub const GENERATED_PREFIX: &str = "gen-";
