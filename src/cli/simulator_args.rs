//! The flags of `fleetpush simulator`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use clap::Args;
use serde::{Deserialize, de::IntoDeserializer as _};

use crate::simulator::{Fault, Limit, Messages, Quirk, RequestLimit, Scenario, ScenarioError};

const FAULT_HELP: &str = "\
Share of requests with a fault, for example `reset_after=0.01`; can be repeated

Names: reset_before, reset_unread, too_large_unread, reset_after, cut, hang, hang_acted, request_timeout, too_many_requests, \
internal_error, internal_error_acted, bad_gateway, bad_gateway_acted, unavailable, page, gateway_timeout, gateway_timeout_acted, \
service_exception, hub_unavailable, trickle, oversized, wrong_type, not_json, dead_in_pool";

const QUIRK_HELP: &str = "\
Share of replies with a quirk, for example `left_out=0.01`; can be repeated

Names: left_out, doubled, stray, reordered, data_null, data_missing, data_object, code_text, ticket_number, ticket_null, msg_null, \
msg_object, key_lower, key_padded, key_foreign, code_unreadable";

const LIMIT_HELP: &str = "\
Limit on requests, for example `token-bucket:40,burst=10`

- token-bucket:RATE,burst=N: RATE requests a second, up to N at once (default 1)
- fixed-window:N,window=TIME: N requests in each window of TIME, for example 1s or 250ms
- sliding-window:N,window=TIME: N requests in any TIME
- leaky-bucket:RATE,queue=N: RATE requests a second; up to N wait (default 0), more are refused
- in-flight:N: N requests at the same time

Each also takes, separated by commas:
- refuse=429|503: status of a refusal (default 429)
- retry-after=yes|no: whether a refusal has `Retry-After`, in whole seconds (default no)
- count-refused=yes|no: whether refused requests count towards the limit (default no)";

/// What the simulated platform is to be like. Shares are numbers from 0 to 1.
#[derive(Debug, Clone, Args)]
pub struct SimulatorArgs {
    /// Address to listen on; loopback only, port 0 uses any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8765", value_parser = loopback)]
    pub listen: SocketAddr,

    /// Scenario, a TOML or JSON file; the other flags override it
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,

    /// Thing model, a JSON file exported from the platform; it is served for every product and used to check commands
    #[arg(long, value_name = "FILE")]
    pub tsl: Option<PathBuf>,

    /// Start from the scenario of `run --simulate` instead of a healthy platform
    #[arg(long, conflicts_with = "scenario")]
    pub demo: bool,

    /// Seed of all random choices; the same seed gives the same fleet
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Pause before each reply, in milliseconds
    #[arg(long, value_name = "MS")]
    pub latency: Option<u64>,

    /// Maximum random addition to that pause, in milliseconds
    #[arg(hide_short_help = true, long, value_name = "MS")]
    pub jitter: Option<u64>,

    /// Share of devices that are offline (61002)
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub offline: Option<f64>,

    /// Share of devices that the platform always refuses (61005)
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub rejected: Option<f64>,

    /// Share of sends to a device that fail temporarily (70000, 50000, 70095)
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub transient: Option<f64>,

    /// Share of devices that make the platform refuse every request that contains them
    #[arg(hide_short_help = true, long, value_name = "SHARE", value_parser = share)]
    pub poison: Option<f64>,

    /// Maximum messages to a device in a window of milliseconds; others get code 61007
    #[arg(long, value_name = "N/MS", value_parser = limit)]
    pub frequency: Option<Limit>,

    /// Maximum messages to a device in a window of milliseconds; others get code 61006
    #[arg(long, value_name = "N/MS", value_parser = limit)]
    pub quota: Option<Limit>,

    /// Requests a second that the platform accepts; others get HTTP 429
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<f64>,

    /// Limit on requests, for example `token-bucket:40,burst=10`
    #[arg(long, value_name = "LIMIT", conflicts_with = "rate_limit", long_help = LIMIT_HELP)]
    pub limit: Option<RequestLimit>,

    /// Text of `Retry-After` in a 429 or 503; can be invalid
    #[arg(
        hide_short_help = true,
        long,
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    pub retry_after: Option<String>,

    /// Maximum devices in one request
    #[arg(hide_short_help = true, long, value_name = "N")]
    pub device_limit: Option<usize>,

    /// Number of requests for which a token is valid
    #[arg(hide_short_help = true, long, value_name = "N")]
    pub token_requests: Option<u64>,

    /// Time for which a token is valid, in milliseconds
    #[arg(hide_short_help = true, long, value_name = "MS")]
    pub token_lifetime: Option<u64>,

    /// Share of requests with a fault, for example `reset_after=0.01`; can be repeated
    #[arg(long, value_name = "NAME=SHARE", value_parser = named_share::<Fault>, long_help = FAULT_HELP)]
    pub fault: Vec<(Fault, f64)>,

    /// Share of logins and token refreshes with a fault, with the names of --fault; can be repeated
    #[arg(long, value_name = "NAME=SHARE", value_parser = named_share::<Fault>)]
    pub login_fault: Vec<(Fault, f64)>,

    /// Share of replies with a quirk, for example `left_out=0.01`; can be repeated
    #[arg(long, alias = "oddity", value_name = "NAME=SHARE", value_parser = named_share::<Quirk>, long_help = QUIRK_HELP)]
    pub quirk: Vec<(Quirk, f64)>,

    /// Time after which a delivery appears in its device's history, in milliseconds
    #[arg(hide_short_help = true, long, value_name = "MS")]
    pub history_lag: Option<u64>,

    /// Share of deliveries that never appear in their device's history
    #[arg(hide_short_help = true, long, value_name = "SHARE", value_parser = share)]
    pub history_gap: Option<f64>,

    /// Publish messages about commands to a message broker on this machine: amqp://USER:PASSWORD@HOST:PORT/VHOST. The user must be
    /// allowed to declare exchanges and queues
    #[arg(hide_short_help = true, long, value_name = "URL")]
    pub amqp: Option<String>,

    /// Full name of the queue for these messages [default: a.1.fleet]
    #[arg(hide_short_help = true, long, value_name = "NAME")]
    pub queue: Option<String>,

    /// Count deliveries, but do not store them; a device's history is then empty
    #[arg(hide_short_help = true, long)]
    pub no_ledger: bool,
}

impl SimulatorArgs {
    /// The scenario that the flags describe.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        // Taken apart in full, so that no flag is forgotten.
        let Self {
            listen: _,
            scenario,
            tsl,
            demo,
            seed,
            latency,
            jitter,
            offline,
            rejected,
            transient,
            poison,
            frequency,
            quota,
            rate_limit,
            limit,
            retry_after,
            device_limit,
            token_requests,
            token_lifetime,
            fault,
            login_fault,
            quirk,
            history_lag,
            history_gap,
            amqp,
            queue,
            no_ledger,
        } = self;
        let base = match scenario {
            Some(path) => Scenario::read(path)?,
            None if *demo => Scenario::demo(),
            None => Scenario::default(),
        };
        let scenario = Scenario {
            seed: seed.unwrap_or(base.seed),
            latency_ms: latency.unwrap_or(base.latency_ms),
            latency_jitter_ms: jitter.unwrap_or(base.latency_jitter_ms),
            offline: offline.unwrap_or(base.offline),
            rejected: rejected.unwrap_or(base.rejected),
            transient: transient.unwrap_or(base.transient),
            poison: poison.unwrap_or(base.poison),
            frequency_limit: frequency.or(base.frequency_limit),
            quota_limit: quota.or(base.quota_limit),
            // A limit of one form takes the place of one of the other.
            rate_limit: rate_limit.or(base.rate_limit.filter(|_| limit.is_none())),
            limit: limit.or(base.limit.filter(|_| rate_limit.is_none())),
            retry_after: retry_after.clone().or(base.retry_after),
            device_limit: device_limit.or(base.device_limit),
            token_requests: token_requests.or(base.token_requests),
            token_lifetime_ms: token_lifetime.or(base.token_lifetime_ms),
            faults: with(base.faults, fault),
            login_faults: with(base.login_faults, login_fault),
            quirks: with(base.quirks, quirk),
            history_lag_ms: history_lag.unwrap_or(base.history_lag_ms),
            history_gap: history_gap.unwrap_or(base.history_gap),
            thing_model: match tsl {
                Some(path) => Some(Scenario::read_thing_model(path)?),
                None => base.thing_model,
            },
            messages: Messages {
                amqp: amqp.clone().or(base.messages.amqp),
                queue: queue.clone().unwrap_or(base.messages.queue),
                ..base.messages
            },
            ledger: base.ledger && !no_ledger,
            ..base
        };
        scenario.validate()?;
        Ok(scenario)
    }
}

fn with<K: Ord + Copy>(mut base: BTreeMap<K, f64>, given: &[(K, f64)]) -> BTreeMap<K, f64> {
    base.extend(given.iter().copied());
    base
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let addr: SocketAddr = text
        .parse()
        .map_err(|_| "give an address and a port, such as 127.0.0.1:8765".to_owned())?;
    if addr.ip().is_loopback() {
        Ok(addr)
    } else {
        Err("the simulator listens on loopback only: use 127.0.0.1 or [::1]".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "give a number from 0 to 1".to_owned())
}

fn limit(text: &str) -> Result<Limit, String> {
    text.split_once('/')
        .and_then(|(messages, window)| {
            Some(Limit {
                messages: messages.parse().ok()?,
                window_ms: window.parse().ok()?,
            })
        })
        .ok_or_else(|| "give messages and milliseconds, such as 1/2000".to_owned())
}

fn named_share<K: for<'de> Deserialize<'de>>(text: &str) -> Result<(K, f64), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "give a name and a share, such as name=0.01".to_owned())?;
    let name = K::deserialize(name.into_deserializer())
        .map_err(|error: serde::de::value::Error| error.to_string())?;
    Ok((name, share(value)?))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        args: SimulatorArgs,
    }

    fn parse(flags: &str) -> Result<SimulatorArgs, clap::Error> {
        let words = std::iter::once("simulator").chain(flags.split_whitespace());
        Alone::try_parse_from(words).map(|alone| alone.args)
    }

    #[test]
    fn no_flags_are_a_healthy_platform() {
        let args = parse("").unwrap();
        assert_eq!(args.listen, ([127, 0, 0, 1], 8765).into());
        assert_eq!(args.scenario().unwrap(), Scenario::default());
        assert_eq!(
            parse("--demo").unwrap().scenario().unwrap(),
            Scenario::demo()
        );
    }

    #[test]
    fn every_flag_arrives() {
        let args = parse(
            "--listen [::1]:0 --seed 1 --latency 2 --jitter 3 --offline 0.1 --rejected 0.2 --transient 0.3 --poison 0.4 --frequency 1/2000 \
             --quota 2/3000 --rate-limit 30 --retry-after -7 --device-limit 50 --token-requests 15 --token-lifetime 4000 \
             --fault cut=0.1 --fault hang=0.2 --login-fault bad_gateway=1 --quirk left_out=0.5 --history-lag 5 --history-gap 0.6 \
             --amqp amqp://u:p@127.0.0.1/v --queue a.2.q --no-ledger",
        )
        .unwrap();
        assert!(args.listen.is_ipv6());
        let expected = Scenario {
            seed: 1,
            latency_ms: 2,
            latency_jitter_ms: 3,
            offline: 0.1,
            rejected: 0.2,
            transient: 0.3,
            poison: 0.4,
            frequency_limit: Some(Limit {
                messages: 1,
                window_ms: 2000,
            }),
            quota_limit: Some(Limit {
                messages: 2,
                window_ms: 3000,
            }),
            rate_limit: Some(30.0),
            retry_after: Some("-7".to_owned()),
            device_limit: Some(50),
            token_requests: Some(15),
            token_lifetime_ms: Some(4000),
            faults: BTreeMap::from([(Fault::Cut, 0.1), (Fault::Hang, 0.2)]),
            login_faults: BTreeMap::from([(Fault::BadGateway, 1.0)]),
            quirks: BTreeMap::from([(Quirk::LeftOut, 0.5)]),
            history_lag_ms: 5,
            history_gap: 0.6,
            messages: Messages {
                amqp: Some("amqp://u:p@127.0.0.1/v".to_owned()),
                queue: "a.2.q".to_owned(),
                ..Messages::default()
            },
            ledger: false,
            ..Scenario::default()
        };
        assert_eq!(args.scenario().unwrap(), expected);
    }

    #[test]
    fn flags_change_the_file_and_leave_the_rest_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("night.toml");
        std::fs::write(&path, "offline = 0.5\nseed = 9\n[faults]\ncut = 0.1\n").unwrap();
        let flags = format!("--scenario {} --seed 1 --fault hang=0.2", path.display());
        let expected = Scenario {
            seed: 1,
            offline: 0.5,
            faults: BTreeMap::from([(Fault::Cut, 0.1), (Fault::Hang, 0.2)]),
            ..Scenario::default()
        };
        assert_eq!(parse(&flags).unwrap().scenario().unwrap(), expected);
    }

    #[test]
    fn a_limit_takes_the_place_of_the_file_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("night.toml");
        std::fs::write(&path, "rate_limit = 5.0\n").unwrap();
        let flags = format!(
            "--scenario {} --limit sliding-window:40,window=10s,refuse=503",
            path.display()
        );
        let scenario = parse(&flags).unwrap().scenario().unwrap();
        let text = "sliding-window:40,window=10000ms,refuse=503,retry-after=no,count-refused=no";
        assert_eq!(scenario.limit.unwrap().to_string(), text);
        assert_eq!(scenario.rate_limit, None);
    }

    #[test]
    fn mistakes_say_what_to_give_instead() {
        for (flags, hint) in [
            ("--listen 0.0.0.0:80", "127.0.0.1"),
            ("--listen somewhere", "127.0.0.1:8765"),
            ("--offline 5", "from 0 to 1"),
            ("--offline NaN", "from 0 to 1"),
            ("--frequency 5", "1/2000"),
            ("--fault cut", "name=0.01"),
            ("--limit 40", "token-bucket:40,burst=10"),
            ("--limit in-flight:8 --rate-limit 40", "cannot be used with"),
            ("--fault kut=0.1", "reset_before"),
            ("--quirk cut=0.1", "left_out"),
            ("--demo --scenario x", "cannot be used with"),
        ] {
            let message = parse(flags).unwrap_err().to_string();
            assert!(message.contains(hint), "{flags}: {message}");
        }
        let both = parse("--fault cut=0.6 --fault hang=0.6").unwrap();
        assert!(matches!(
            both.scenario(),
            Err(ScenarioError::TooManyFaults { .. })
        ));
    }

    #[test]
    fn the_help_names_every_fault_and_quirk() {
        let help = Alone::command().render_long_help().to_string();
        // Serde's complaint about an unknown name lists the known ones.
        let complaints = [
            named_share::<Fault>("?=0").unwrap_err(),
            named_share::<Quirk>("?=0").unwrap_err(),
        ];
        let names: Vec<&str> = complaints
            .iter()
            .flat_map(|complaint| complaint.split('`').skip(3).step_by(2))
            .collect();
        assert_eq!(names.len(), 24 + 16, "{names:?}");
        let absent: Vec<&str> = names
            .into_iter()
            .filter(|&name| !help.contains(name))
            .collect();
        assert!(absent.is_empty(), "{absent:?}");
    }
}
