//! Command line of the fuzzer.
#![allow(clippy::print_stdout)] // It is a command: stdout is where its results go.

use std::process::ExitCode;
use std::time::Duration;

use fuzz::targets::{self, Target};
use fuzz::{campaign, corpus};

const USAGE: &str = "usage: fuzz <target|all> [--seconds 60] [--seed 1]   mutate the corpus of one or all targets
       fuzz list                                     print the targets
       fuzz replay <target> <file>                   run one input
       fuzz generate                                 rewrite the generated corpus files";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["list"] => {
            for target in targets::ALL {
                println!("{}", target.name);
            }
            Ok(ExitCode::SUCCESS)
        }
        ["generate"] => generate(),
        ["replay", target, file] => replay(target, file),
        [target, ref options @ ..] => mutate(target, options),
        [] => Err(USAGE.to_owned()),
    };
    match result {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn generate() -> Result<ExitCode, String> {
    for target in targets::ALL {
        let count = corpus::regenerate(target).map_err(|error| format!("{}: {error}", target.name))?;
        println!("{:<24} {count} files", target.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(name: &str, file: &str) -> Result<ExitCode, String> {
    let target = find(name)?;
    let input = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    println!("{:?}", (target.run)(&input));
    Ok(ExitCode::SUCCESS)
}

fn mutate(name: &str, options: &[&str]) -> Result<ExitCode, String> {
    let (seconds, seed) = parse_options(options)?;
    let chosen: Vec<&Target> = if name == "all" { targets::ALL.iter().collect() } else { vec![find(name)?] };
    let mut code = ExitCode::SUCCESS;
    for target in chosen {
        let summary = campaign::run(target, Duration::from_secs(seconds), seed)
            .map_err(|error| format!("{}: {error}", target.name))?;
        println!("{:<24} {:>10} runs {:>6} outcomes", target.name, summary.runs, summary.outcomes);
        if let Some(path) = summary.crash {
            println!("  BROKEN, see: cargo run -p fuzz -- replay {} {}", target.name, path.display());
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn parse_options(options: &[&str]) -> Result<(u64, u64), String> {
    let (mut seconds, mut seed) = (60, 1);
    for pair in options.chunks(2) {
        let value = || pair.get(1).and_then(|text| text.parse().ok()).ok_or_else(|| USAGE.to_owned());
        match pair[0] {
            "--seconds" => seconds = value()?,
            "--seed" => seed = value()?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok((seconds, seed))
}

fn find(name: &str) -> Result<&'static Target, String> {
    targets::ALL
        .iter()
        .find(|target| target.name == name)
        .ok_or_else(|| format!("no target `{name}`; `fuzz list` prints them"))
}
