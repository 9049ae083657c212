//! The arguments that a session stores: the flags of a command, without the values that it sends.

use std::ffi::OsString;

/// Flags with what goes to devices. Of a parameter the name stays.
const WITH_CONTENT: [&str; 2] = ["--data", "--param"];

/// What stands in place of a value that is left out.
const LEFT_OUT: &str = "…";

/// The most bytes that are kept; a filter may name thousands of devices.
const MOST_BYTES: usize = 8 << 10;

/// The arguments of a command as they are kept: payloads are left out, and what is beyond a few kilobytes. Secrets are no arguments.
pub(crate) fn kept_arguments(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut bytes = 0;
    let mut left = 0_usize;
    // The flag before, when its value stands apart.
    let mut content_of = None;
    for argument in arguments {
        let text = argument.to_string_lossy().into_owned();
        let text = if let Some(flag) = content_of.take() {
            hidden(flag, &text)
        } else if let Some((flag, value)) = flag_and_value(&text) {
            format!("{flag}={}", hidden(flag, value))
        } else {
            content_of = with_content(&text);
            text
        };
        bytes += text.len();
        if bytes > MOST_BYTES {
            left += 1;
        } else {
            kept.push(text);
        }
    }
    if left > 0 {
        kept.push(format!("{LEFT_OUT} and {left} more"));
    }
    kept
}

/// The flag and its value of an argument such as `--data=[…]`.
fn flag_and_value(text: &str) -> Option<(&'static str, &str)> {
    let (name, value) = text.split_once('=')?;
    Some((with_content(name)?, value))
}

fn with_content(name: &str) -> Option<&'static str> {
    WITH_CONTENT.into_iter().find(|flag| *flag == name)
}

/// `limit=…` of a parameter, else nothing of the value.
fn hidden(flag: &str, value: &str) -> String {
    match value.split_once('=') {
        Some((name, _)) if flag == "--param" => format!("{name}={LEFT_OUT}"),
        _ => LEFT_OUT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn kept(line: &str) -> String {
        kept_arguments(line.split(' ').map(OsString::from)).join(" ")
    }

    #[test]
    fn payloads_are_left_out_however_they_are_written() {
        assert_eq!(
            kept("run f.csv --param pin=1234 --param=a=b=c --data [1] --data=[2] --service fuwu"),
            "run f.csv --param pin=… --param=a=… --data … --data=… --service fuwu"
        );
        // A flag without its value is refused before anything is kept.
        assert_eq!(kept("run --data"), "run --data");
        assert_eq!(kept("retry --label site=Oslo"), "retry --label site=Oslo");
    }

    #[test]
    fn a_long_line_is_cut() {
        let devices =
            (0..2000).flat_map(|number| ["--device".into(), format!("DK{number:08}").into()]);
        let kept = kept_arguments(std::iter::once("retry".into()).chain(devices));
        assert!(kept.concat().len() < MOST_BYTES + 30);
        assert_eq!(kept.last().unwrap(), "… and 3091 more");
    }

    /// A flag that is new has to be put on one side or the other.
    #[test]
    fn it_is_decided_for_each_flag_whether_its_value_is_kept() {
        let mut cli = Cli::command();
        cli.build();
        let mut names: Vec<String> = ["run", "resume", "retry", "verify", "cancel", "prune"]
            .iter()
            .flat_map(|command| cli.find_subcommand(command).unwrap().get_arguments())
            .filter(|argument| argument.get_action().takes_values())
            .filter_map(|argument| argument.get_long().map(|name| format!("--{name}")))
            .filter(|name| with_content(name).is_none())
            .collect();
        names.sort();
        names.dedup();
        insta::assert_snapshot!(names.join(" "));
    }
}
