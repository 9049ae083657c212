//! What a push needs of the platform and of the network: the target, the proxy, a connection with a trusted certificate, the clock, and a
//! login. No command is sent.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    super::target,
    finding::{Finding, Status},
    messages,
};
use crate::{
    budget::Budget,
    clock::{Clock, wall_now},
    exit::Exit,
    gateway::{BaseUrl, Platform, Proxy, Reached},
    model::{ListedProduct, SendResult, Timestamp, Unsent},
    policy::{self, Signal},
    settings::{Credentials, Destination, Doctor as Settings, Target},
    ui::number::{duration, grouped},
};

/// How far the platform lets the clocks be apart (platform notes, "Authentication"), less what a reply may take.
const MOST_SKEW: Duration = Duration::from_mins(9);
/// A clock that is right is less than this off; `Date` has no more than seconds.
const USUAL_SKEW: Duration = Duration::from_secs(30);

/// Products that are named.
const NAMED: usize = 10;

/// Looks at all of it. What depends on something that failed is not looked at.
pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(destination) = destination(settings, &mut findings) else {
        let reason = "not tested, because no platform is known";
        findings.extend(
            ["proxy", "connection", "clock", "login", "products"]
                .map(|check| Finding::skip(check, reason)),
        );
        findings.extend(messages::skip(settings, reason));
        return findings;
    };
    let (credentials, login) = match &settings.credentials {
        Ok(credentials) => (credentials.clone(), None),
        // Enough to see whether anybody answers.
        Err(error) => (
            Credentials::Token(SecretString::from("none")),
            Some(Finding::fail("login", Exit::Usage, error.to_string())),
        ),
    };
    let is_simulated = destination == Destination::Simulator;
    let is_token = matches!(credentials, Credentials::Token(_)) && !is_simulated;
    let target = match destination {
        Destination::Simulator => Target::Simulator,
        Destination::Platform {
            base_url,
            insecure_http,
        } => {
            match BaseUrl::parse(&base_url, insecure_http) {
                Ok(base_url) => {
                    findings.push(Finding::ok("target", base_url.to_string()));
                    findings.push(proxy(&base_url));
                }
                Err(error) => {
                    findings.push(Finding::fail("target", Exit::Usage, error.to_string()));
                    return findings;
                }
            }
            Target::Platform {
                base_url,
                insecure_http,
                credentials,
            }
        }
    };
    if is_simulated {
        findings.push(Finding::ok("target", "a simulator inside this process"));
        findings.push(Finding::ok("proxy", "none"));
    }
    let way = target::Way {
        target: &target,
        language: settings.language,
        timeouts: settings.timeouts,
        concurrency: 1,
    };
    let connection = match target::connect_by(&way, &Budget::default(), Clock::start()).await {
        Ok(connection) => connection,
        Err(failure) => {
            findings.push(Finding::fail(
                "connection",
                failure.exit(),
                failure.message(),
            ));
            return findings;
        }
    };
    let asked_at = wall_now();
    let reached = connection.platform.reach().await;
    findings.push(connected(&reached));
    if let Ok(reached) = &reached {
        findings.push(clock(reached.date, asked_at));
        let login = match login {
            Some(finding) if !is_simulated => finding,
            _ if is_token => Finding::ok("login", "an access token is set, so no login is needed"),
            _ => logged_in(&connection.platform).await,
        };
        findings.extend(with_login(settings, &connection.platform, login, is_simulated).await);
    } else {
        let reason = "not tested, because the platform does not answer";
        findings.push(Finding::skip("clock", reason));
        findings.push(login.unwrap_or_else(|| Finding::skip("login", reason)));
        findings.push(Finding::skip("products", reason));
        findings.extend(messages::skip(settings, reason));
    }
    if let Some(simulator) = connection.simulator {
        simulator.stop().await;
    }
    findings
}

/// What was found of the login, and what it is needed for.
async fn with_login(
    settings: &Settings,
    platform: &Platform,
    login: Finding,
    is_simulated: bool,
) -> Vec<Finding> {
    let is_in = login.status == Status::Ok;
    let mut findings = vec![login];
    if !is_in {
        let reason = "not tested, because there is no login";
        findings.push(Finding::skip("products", reason));
        findings.extend(messages::skip(settings, reason));
        return findings;
    }
    findings.push(products(platform).await);
    findings.extend(if is_simulated {
        messages::skip(settings, "not tested, because the simulator has no broker")
    } else {
        messages::look(settings, platform).await
    });
    findings
}

/// The platform that is named.
fn destination(settings: &Settings, findings: &mut Vec<Finding>) -> Option<Destination> {
    let problem = match &settings.destination {
        Ok(Some(destination)) => return Some(destination.clone()),
        Ok(None) => Finding::fail("target", Exit::Usage, "no platform is given").todo(
            "give --region or --base-url, or set one in the config file or as FLEETPUSH_REGION",
        ),
        Err(error) => Finding::fail("target", Exit::Usage, error.to_string()),
    };
    findings.push(problem);
    None
}

fn proxy(base_url: &BaseUrl) -> Finding {
    let variable =
        |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    match Proxy::from_environment(base_url, variable) {
        Ok(None) => Finding::ok("proxy", "none"),
        Ok(Some(proxy)) => Finding::ok("proxy", proxy.to_string()),
        Err(error) => Finding::fail("proxy", Exit::Refused, error.to_string()),
    }
}

fn connected(reached: &Result<Reached, Unsent>) -> Finding {
    const CHECK: &str = "connection";
    match reached {
        Ok(reached) if reached.is_encrypted => Finding::ok(
            CHECK,
            format!(
                "answers in {}; its certificate is trusted",
                duration(reached.took)
            ),
        ),
        Ok(reached) => Finding::ok(CHECK, format!("answers in {}", duration(reached.took))),
        Err(unsent) => failed(CHECK, unsent),
    }
}

/// A failure, with the exit code that a push has for it.
fn failed(check: &'static str, unsent: &Unsent) -> Finding {
    match unsent {
        Unsent::Unreachable { error, .. } => Finding::fail(check, Exit::Stopped, error).todo(
            "check the network, the firewall, name resolution and the proxy; a push waits for as long as --max-outage",
        ),
        Unsent::Exhausted { error } => Finding::fail(check, Exit::Stopped, error),
        Unsent::Certificate { error } => Finding::fail(check, Exit::Refused, error).todo(
            "check the base URL and this machine's certificates; SSL_CERT_FILE names others",
        ),
        Unsent::Credentials { error } | Unsent::Refused { error } => {
            Finding::fail(check, Exit::Refused, error)
        }
        Unsent::Late => Finding::fail(check, Exit::Stopped, "no time was left"),
    }
}

fn clock(date: Option<Timestamp>, now: Timestamp) -> Finding {
    const CHECK: &str = "clock";
    let Some(date) = date else {
        return Finding::warn(CHECK, "the platform does not say what time it is");
    };
    let (skew, word) = if now > date {
        (date.until(now), "ahead of")
    } else {
        (now.until(date), "behind")
    };
    let told = format!("{} {word} the platform's", duration(skew));
    let todo = "set this machine's clock, for example with an NTP service";
    if skew >= MOST_SKEW {
        Finding::fail(CHECK, Exit::Refused, told)
            .todo(format!("{todo}; the platform refuses logins at 10 minutes"))
    } else if skew >= USUAL_SKEW {
        Finding::warn(CHECK, told).todo(todo)
    } else {
        Finding::ok(CHECK, "as the platform's")
    }
}

async fn logged_in(platform: &Platform) -> Finding {
    match platform.log_in().await {
        Ok(()) => Finding::ok("login", "the platform gives a token"),
        Err(unsent) => failed("login", &unsent),
    }
}

/// The products that the account sees, of which commands name the keys.
async fn products(platform: &Platform) -> Finding {
    const CHECK: &str = "products";
    let page = match platform.products(1).await {
        Ok(page) => page,
        Err(SendResult::Unsent(unsent)) => return failed(CHECK, &unsent),
        Err(result) => {
            let judgement = policy::judge(&result, 1);
            let outcome = judgement.devices.into_iter().next().map(|one| one.outcome);
            let (code, message) = outcome.map_or((None, None), |one| (one.code, one.message));
            let words = message.map_or_else(|| "no reason given".to_owned(), String::from);
            let code = code.map_or_else(String::new, |code| format!(" (code {code})"));
            let told = format!("the platform does not list them: {words}{code}");
            // It may be the list alone that is not allowed, unless the token itself is refused.
            return match judgement.signal {
                Signal::Unauthorized { .. } | Signal::Stop { .. } => {
                    Finding::fail(CHECK, Exit::Refused, told)
                        .todo("check the credentials, and what the account may do at the platform")
                }
                _ => Finding::warn(CHECK, told)
                    .todo("check that the account may list products; a push does not need it"),
            };
        }
    };
    if page.entries.is_empty() {
        return Finding::warn(CHECK, "the account sees none").todo(
            "ask the owner of the products to authorise this account, or log in with another AccessKey",
        );
    }
    let named: Vec<String> = page.entries.iter().take(NAMED).map(product).collect();
    let all = page.total.unwrap_or(0).max(page.entries.len() as u64);
    let more = match all - named.len() as u64 {
        0 => String::new(),
        more => format!(" and {} more", grouped(more)),
    };
    Finding::ok(CHECK, format!("{}{more}", named.join(", ")))
}

/// `PK0001 (Thermostat)`.
fn product(product: &ListedProduct) -> String {
    let mut remarks: Vec<&str> = product.name.as_deref().into_iter().collect();
    if product.is_elsewhere {
        remarks.push("on another platform, takes no commands: 80005");
    }
    if remarks.is_empty() {
        return product.product_key.clone();
    }
    format!("{} ({})", product.product_key, remarks.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_told_by_how_far_they_are_apart() {
        let at = |seconds: i64| {
            clock(
                Some(Timestamp(1_000_000_000)),
                Timestamp(1_000_000_000 + 1000 * seconds),
            )
            .lines()
            .join("\n")
        };
        insta::assert_snapshot!([at(0), at(-2), at(90), at(-90), at(700)].join("\n"), @r"
        ok    clock        as the platform's
        ok    clock        as the platform's
        warn  clock        1 min 30 s ahead of the platform's
                           to do: set this machine's clock, for example with an NTP service
        warn  clock        1 min 30 s behind the platform's
                           to do: set this machine's clock, for example with an NTP service
        fail  clock        11 min 40 s ahead of the platform's
                           to do: set this machine's clock, for example with an NTP service; the platform refuses logins at 10 minutes
        ");
    }
}
