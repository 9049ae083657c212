//! The platform of a push, or the simulator in its place.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use secrecy::SecretString;

use crate::{
    budget::Budget,
    clock::Clock,
    exit::Failure,
    gateway::{BaseUrl, Credentials, Platform, PlatformOptions, Proxy},
    model::Language,
    settings::{self, Destination, Push, Target, Timeouts},
    simulator::{Scenario, Simulator},
    store::Run,
};

/// The target's name as it is part of a run's identity: its base URL in one spelling, or the word `simulator`.
pub(super) fn name(target: &Target) -> Result<String, Failure> {
    destination_name(&target.destination())
}

/// The same of a platform that nobody logs in to.
pub(super) fn destination_name(destination: &Destination) -> Result<String, Failure> {
    Ok(match destination {
        Destination::Simulator => "simulator".to_owned(),
        Destination::Platform {
            base_url,
            insecure_http,
        } => BaseUrl::parse(base_url, *insecure_http)?
            .as_str()
            .to_owned(),
    })
}

/// A fingerprint of the account that logs in, where one is known.
pub(super) fn account(target: &Target) -> Option<String> {
    match target {
        Target::Simulator => None,
        Target::Platform { credentials, .. } => credentials.account(),
    }
}

/// Refuses to push a run to another target than it was made for, or with another account than it was begun with.
pub(super) fn must_be_of(run: &Run, push: &Push) -> Result<(), Failure> {
    let name = name(&push.target)?;
    if run.about.base_url == name {
        return match (&run.account, account(&push.target)) {
            (Some(begun_with), Some(account)) if *begun_with != account && !push.accept_account => {
                Err(Failure::usage(anyhow::anyhow!(
                    "run '{}' was started with another AccessKey (fingerprint {begun_with}, and yours is {account}); use that key, or give --accept-account if yours is a new key of the same account",
                    run.about.name
                )))
            }
            _ => Ok(()),
        };
    }
    let made_for = &run.about.base_url;
    Err(Failure::usage(anyhow::anyhow!(
        "run '{}' was made for {made_for}, and cannot continue at {name}; give {} instead",
        run.about.name,
        if made_for == "simulator" {
            "--simulate".to_owned()
        } else {
            format!("--base-url {made_for}")
        },
    )))
}

/// A platform to push to, and the simulator behind it, if it is one.
pub(super) struct Connection {
    pub(super) platform: Platform,
    pub(super) simulator: Option<Simulator>,
}

/// How a platform is reached.
pub(super) struct Way<'s> {
    pub(super) target: &'s Target,
    pub(super) language: Language,
    pub(super) timeouts: Timeouts,
    /// Requests at a time.
    pub(super) concurrency: usize,
}

/// Makes the gateway of a push, whose replies are of this budget; starts the simulator when that is the target.
pub(super) async fn connect(
    push: &Push,
    budget: &Budget,
    clock: Clock,
) -> Result<Connection, Failure> {
    let way = Way {
        target: &push.target,
        language: push.language,
        timeouts: push.timeouts,
        concurrency: push.pace.concurrency as usize,
    };
    connect_by(&way, budget, clock).await
}

/// The same by this way.
pub(super) async fn connect_by(
    way: &Way<'_>,
    budget: &Budget,
    clock: Clock,
) -> Result<Connection, Failure> {
    let (base_url, credentials, simulator) = match way.target {
        Target::Simulator => {
            let simulator =
                Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Scenario::demo())
                    .await
                    .context("cannot start the simulator")
                    .map_err(Failure::usage)?;
            let base_url = BaseUrl::parse(&simulator.base_url(), false)?;
            let credentials = Credentials::Key {
                access_key: "simulator".into(),
                access_secret: SecretString::from("simulator"),
            };
            (base_url, credentials, Some(simulator))
        }
        Target::Platform {
            base_url,
            insecure_http,
            credentials,
        } => {
            let credentials = match credentials.clone() {
                settings::Credentials::KeyPair {
                    access_key,
                    access_secret,
                } => Credentials::Key {
                    access_key,
                    access_secret,
                },
                settings::Credentials::Token(token) => Credentials::Token(token),
            };
            (BaseUrl::parse(base_url, *insecure_http)?, credentials, None)
        }
    };
    let proxy = Proxy::from_environment(&base_url, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })?;
    let options = PlatformOptions {
        language: way.language,
        connect_timeout: way.timeouts.connect,
        request_timeout: way.timeouts.request,
        concurrency: way.concurrency,
        proxy,
        budget: budget.clone(),
        ..PlatformOptions::new(base_url)
    };
    Ok(Connection {
        platform: Platform::new(options, credentials, clock)?,
        simulator,
    })
}
