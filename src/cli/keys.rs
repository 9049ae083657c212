//! The settings that a flag, an environment variable and the config file can give: one name and one way of reading for all three.
//!
//! The name is the flag without its dashes, the key in the file, and, in upper case and with underscores, the variable after
//! `FLEETPUSH_`. Defaults stand here as the text that a person would have typed, so that they are read and checked like any other value.

use std::{path::PathBuf, time::Duration};

use crate::{
    cli::values,
    model::{
        AbortIf, AfterFailure, Age, Canary, CanaryVerify, DeviceRate, InDoubt, Language, LogFormat,
        ProgressMode, Ramp, Rate, Region, RepeatAfter, SendWindow, Tags, Tolerate, Until,
    },
};

/// A setting without a default.
#[derive(Debug)]
pub(crate) struct Key<T: 'static> {
    /// The name of its flag, without the dashes.
    pub name: &'static str,
    /// Reads its text; the error says what to write instead.
    pub parse: fn(&str) -> Result<T, String>,
}

/// A setting with a default.
#[derive(Debug)]
pub(crate) struct Setting<T: 'static> {
    /// Its name and how its text is read.
    pub key: Key<T>,
    /// The text that stands when nobody gives another.
    pub default: &'static str,
}

/// What is to be known of a setting whatever the type of its value.
#[derive(Debug)]
pub(crate) struct Described {
    /// Its name.
    pub name: &'static str,
    /// Its default, if it has one.
    pub default: Option<&'static str>,
    /// Whether a text can be read; the error says what to write instead.
    pub check: fn(&str) -> Result<(), String>,
}

/// The prefix of every variable of ours.
pub(crate) const PREFIX: &str = "FLEETPUSH_";

/// The environment variable of the setting of this name: `FLEETPUSH_MAX_ATTEMPTS` for `max-attempts`.
pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"))
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const WEEK: Duration = Duration::from_hours(168);

macro_rules! keys {
    (
        without_default { $($(#[$key_doc:meta])* $key:ident: $key_type:ty = $key_name:literal, $key_parse:expr;)+ }
        with_default { $($(#[$doc:meta])* $setting:ident: $type:ty = $name:literal, $default:literal, $parse:expr;)+ }
    ) => {
        $($(#[$key_doc])* pub(crate) const $key: Key<$key_type> = Key { name: $key_name, parse: $key_parse };)+
        $(
            $(#[$doc])*
            pub(crate) const $setting: Setting<$type> = Setting { key: Key { name: $name, parse: $parse }, default: $default };
        )+

        /// The name of every setting.
        pub const NAMES: &[&str] = &[$($key_name,)+ $($name,)+];

        /// Every setting without its type, in the order above.
        pub(crate) const ALL: &[Described] = &[
            $(Described { name: $key_name, default: None, check: |text| ($key.parse)(text).map(drop) },)+
            $(Described { name: $name, default: Some($default), check: |text| ($setting.key.parse)(text).map(drop) },)+
        ];

        /// Every default: the setting's name and the text.
        #[cfg(test)]
        pub(crate) const DEFAULTS: &[(&str, &str)] = &[$(($name, $default),)+];
    };
}

keys! {
    without_default {
        /// The results database.
        DB: PathBuf = "db", values::database;
        /// The platform's data centre.
        REGION: Region = "region", read;
        /// The platform's base URL, whole.
        BASE_URL: String = "base-url", values::not_empty;
        /// The tags of a run.
        TAG: Tags = "tag", read;
        /// Where a page about the run is written at the end of a push.
        REPORT: PathBuf = "report", values::page;
        /// Where metrics of the push are written.
        METRICS_FILE: PathBuf = "metrics-file", |text| values::not_empty(text).map(PathBuf::from);
        /// The queue whose messages are received.
        QUEUE: String = "queue", values::queue;
        /// The message broker.
        AMQP_URL: String = "amqp-url", values::amqp_url;
    }
    with_default {
        /// Whether the results database may lie on a network file system.
        ALLOW_NETWORK_FILESYSTEM: bool = "allow-network-filesystem", "false", values::switch;
        /// How log lines are written.
        LOG_FORMAT: LogFormat = "log-format", "text", read;
        /// Whether a plain `http://` URL is taken for another host than this one.
        INSECURE_HTTP: bool = "insecure-http", "false", values::switch;
        /// The language of the platform's messages.
        LANGUAGE: Language = "language", "EN", read;
        /// How long a connection may take to be made.
        CONNECT_TIMEOUT: Duration = "connect-timeout", "10s",
            |text| values::duration(text, Duration::from_millis(1), HOUR);
        /// How long a request may take, from its beginning to the end of its reply.
        REQUEST_TIMEOUT: Duration = "request-timeout", "30s",
            |text| values::duration(text, Duration::from_millis(1), HOUR);
        /// The most devices in one request.
        CHUNK_SIZE: u32 = "chunk-size", "100", |text| values::whole(text, 1, 10_000);
        /// The most requests in flight.
        CONCURRENCY: u32 = "concurrency", "16", |text| values::whole(text, 1, 1024);
        /// The most requests a second.
        RATE: Rate = "rate", "25", read;
        /// The most devices a second.
        DEVICE_RATE: DeviceRate = "device-rate", "unlimited", read;
        /// How many devices go first.
        CANARY: Canary = "canary", "none", read;
        /// Whether a push stops after a good canary.
        CANARY_PAUSE: bool = "canary-pause", "false", values::switch;
        /// How long evidence of the canary's commands is waited for.
        CANARY_VERIFY: CanaryVerify = "canary-verify", "none", values::canary_verify;
        /// How the rate rises from the start.
        RAMP: Ramp = "ramp", "none", read;
        /// The most sends of one task that use up an attempt, the first included.
        MAX_ATTEMPTS: u32 = "max-attempts", "5", |text| values::whole(text, 1, 1000);
        /// The longest that a throttled task is put off, all its snoozes together.
        MAX_SNOOZE: Duration = "max-snooze", "1h", |text| values::duration(text, Duration::ZERO, WEEK);
        /// The longest outage that is waited for.
        MAX_OUTAGE: Duration = "max-outage", "30m", |text| values::duration(text, Duration::ZERO, WEEK);
        /// How long a stop waits for requests in flight.
        DRAIN_TIMEOUT: Duration = "drain-timeout", "30s", |text| values::duration(text, Duration::ZERO, HOUR);
        /// What follows a send in doubt.
        IN_DOUBT: InDoubt = "in-doubt", "resend", read;
        /// What follows for a device's later tasks when one has failed.
        AFTER_FAILURE: AfterFailure = "after-failure", "block", read;
        /// When the run is aborted.
        ABORT_IF: AbortIf = "abort-if", "failed>10%,min=500", read;
        /// What a complete run may have come to and still count as a success.
        TOLERATE: Tolerate = "tolerate", "nothing", read;
        /// How often an offline device is tried again.
        RETRY_OFFLINE: u32 = "retry-offline", "0", |text| values::whole(text, 0, 1000);
        /// How long to wait before an offline device is tried again.
        OFFLINE_DELAY: Duration = "offline-delay", "30m", |text| values::duration(text, SECOND, WEEK);
        /// Until when a push sends.
        UNTIL: Until = "until", "never", read;
        /// The hours of the day in which a push sends.
        WINDOW: SendWindow = "window", "always", read;
        /// How long after its end a push is made anew.
        REPEAT_AFTER: RepeatAfter = "repeat-after", "never", read;
        /// How long messages are kept.
        INBOX_KEEP: Age = "inbox-keep", "7d", values::inbox_keep;
        /// How progress is shown.
        PROGRESS: ProgressMode = "progress", "auto", read;
    }
}

/// Reads a word or a value of the domain, which knows its own text.
fn read<T: std::str::FromStr<Err = crate::model::OptionError>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: crate::model::OptionError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_variables() {
        assert_eq!(variable("db"), "FLEETPUSH_DB");
        assert_eq!(variable("max-attempts"), "FLEETPUSH_MAX_ATTEMPTS");
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
