//! `sendServiceData`: what the platform makes of one request.

use std::sync::Arc;

use hyper::{Response, StatusCode, header};
use url::form_urlencoded;

use super::{
    chance::{Question, hash, mix},
    codes,
    command::Command,
    elements::{self, ElementResult, Odd},
    fleet::Device,
    messages::Taken,
    platform::{Call, Platform, Playing},
    reply::{Reply, ReplyBody},
    respond::{self, Dropped},
    scenario::{AuthRefusal, Fault, Scenario},
    stats::Working,
    thing_model,
};
use crate::model::Timestamp;

/// The reply to a request that sends nothing.
pub(super) fn only_post() -> Response<ReplyBody> {
    Reply::html(StatusCode::METHOD_NOT_ALLOWED)
        .with(header::ALLOW, "POST")
        .into_response(ReplyBody::Whole)
}

/// A request whose head has arrived. It is counted and meets its fault by that, since a fault may keep the body from being read.
pub(super) struct Arrived<'a> {
    playing: Arc<Playing>,
    /// From 1, in the order of arrival.
    number: u64,
    fault: Option<Fault>,
    _working: Working<'a>,
}

impl<'a> Arrived<'a> {
    pub(super) fn new(platform: &'a Platform, playing: &Arc<Playing>) -> Self {
        let (number, working) = platform.counters.begin();
        Self {
            playing: Arc::clone(playing),
            number,
            fault: playing
                .chance
                .alternative(&playing.scenario.faults, Question::Fault, number),
            _working: working,
        }
    }

    /// Whether nobody reads its body.
    pub(super) fn leaves_unread(&self, now: Timestamp) -> bool {
        let is_away = self.playing.outage(now).fault().is_some();
        !is_away && self.fault.is_some_and(Fault::leaves_unread)
    }

    /// Answers it, or ends its connection.
    pub(super) async fn answer(
        self,
        platform: &Platform,
        call: &Call,
    ) -> Result<Response<ReplyBody>, Dropped> {
        let command = Command::parse(&call.body);
        let devices = command.as_ref().map(devices_of).unwrap_or_default();
        let busy = call
            .playing
            .scenario
            .watch_order
            .then(|| platform.fleet.enter(&devices));
        if let Some(busy) = &busy
            && busy.overlaps > 0
        {
            platform.counters.lock().overlaps += busy.overlaps;
        }
        let request = Received {
            platform,
            call,
            number: self.number,
            command,
            devices: &devices,
        };
        // The devices stay busy until the reply is on its way: a client that has read it may send to them again at once.
        respond::limited(
            (platform, call),
            self.number,
            || {
                if let Some(fault) = self.fault {
                    *platform.counters.lock().faults.entry(fault).or_default() += 1;
                }
                self.fault
            },
            || request.act(),
        )
        .await
    }
}

/// The code for which the thing model does not allow a command, if there is a model to hold it to.
fn misfit(scenario: &Scenario, data: &str) -> Option<i64> {
    thing_model::check(scenario.thing_model.as_ref()?, data).err()
}

fn devices_of(command: &Command<'_>) -> Vec<Device> {
    let product = hash(&command.product_key);
    command
        .devices
        .iter()
        .map(|key| Device::new(product, &key.0))
        .collect()
}

/// A request that has arrived whole.
struct Received<'a> {
    platform: &'a Platform,
    call: &'a Call,
    /// From 1, in the order of arrival.
    number: u64,
    /// What it asks for, or the code of its refusal.
    command: Result<Command<'a>, i64>,
    /// The command's devices, in its order; none if it is refused.
    devices: &'a [Device],
}

impl Received<'_> {
    /// Acts on it, as far as it passes the checks.
    fn act(&self) -> Reply {
        let playing = &self.call.playing;
        let scenario = &playing.scenario;
        if let Some(status) = scenario.refuse_status {
            return self.page(status);
        }
        if let Some(number) = self.outcast() {
            return self.refusal_or_page(number);
        }
        let token = self.call.header(header::AUTHORIZATION);
        if let Err(code) = self.platform.tokens.check(token, scenario, self.call.now) {
            return match scenario.auth_refusal {
                AuthRefusal::Code => self.refusal(code),
                AuthRefusal::Status => Reply::html(StatusCode::UNAUTHORIZED),
            };
        }
        if !self.is_json() {
            return Reply::html(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let command = match &self.command {
            Ok(command) => command,
            Err(code) => return self.refusal(*code),
        };
        let refusal = self
            .whole_refusal(command)
            .or_else(|| misfit(scenario, &command.data));
        match refusal {
            Some(number) => self.refusal_or_page(number),
            None => self.deliver(command),
        }
    }

    /// What the request is refused with because of one of its devices, if it is.
    fn outcast(&self) -> Option<i64> {
        let outcasts = &self.call.playing.scenario.outcasts;
        if outcasts.is_empty() {
            return None;
        }
        let command = self.command.as_ref().ok()?;
        command
            .devices
            .iter()
            .find_map(|key| outcasts.get(key.0.as_ref()).copied())
    }

    /// Refuses with an HTTP status and a page if the number is one, else with a top-level code.
    fn refusal_or_page(&self, number: i64) -> Reply {
        match u16::try_from(number) {
            Ok(status @ 300..600) => self.page(status),
            _ => self.refusal(number),
        }
    }

    /// A page of something that stands in front of the platform.
    fn page(&self, status: u16) -> Reply {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        let reply = Reply::html(status);
        if status.is_redirection() {
            reply.with(header::LOCATION, &self.call.head.uri.to_string())
        } else {
            reply
        }
    }

    fn is_json(&self) -> bool {
        self.call
            .header(header::CONTENT_TYPE)
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }

    /// The code for which the request as a whole is refused, if it is.
    fn whole_refusal(&self, command: &Command<'_>) -> Option<i64> {
        let playing = &self.call.playing;
        let scenario = &playing.scenario;
        let is_poison = |device: &Device| {
            playing
                .chance
                .within(scenario.poison, Question::Poison, device.seed)
        };
        let product = command.product_key.as_ref();
        if scenario.refuse_code.is_some() {
            scenario.refuse_code
        } else if !has_known_language(self.call.query()) {
            Some(codes::PARAMETER_CHECK)
        } else if scenario
            .device_limit
            .is_some_and(|limit| command.devices.len() > limit)
        {
            Some(scenario.device_limit_code)
        } else if scenario.refused_products.iter().any(|key| key == product) {
            Some(codes::PRODUCT_REFUSED)
        } else if scenario
            .refused_data
            .as_deref()
            .is_some_and(|text| command.data.contains(text))
        {
            Some(scenario.refused_data_code)
        } else if scenario.poison > 0.0 && self.devices.iter().any(is_poison) {
            Some(scenario.poison_code)
        } else {
            None
        }
    }

    /// Refuses the whole request.
    fn refusal(&self, code: i64) -> Reply {
        let mut stats = self.platform.counters.lock();
        *stats.refused_requests.entry(code).or_default() += 1;
        drop(stats);
        elements::refusal(code, &self.odd())
    }

    /// Gives each device its verdict, and a ticket to those that take the command.
    fn deliver(&self, command: &Command<'_>) -> Reply {
        let failing = &self.call.playing.scenario.failing_products;
        let can_fail = failing.is_empty() || failing.iter().any(|key| *key == command.product_key);
        let verdicts: Vec<Result<(), i64>> = self
            .devices
            .iter()
            .map(|&device| self.verdict(device, can_fail))
            .collect();
        let keys = || command.devices.iter().map(|key| key.0.as_ref());
        let taken: Vec<&str> = keys()
            .zip(&verdicts)
            .filter_map(|(key, verdict)| verdict.is_ok().then_some(key))
            .collect();
        let Playing {
            scenario, chance, ..
        } = &*self.call.playing;
        let first_ticket = self.platform.ledger().record(
            (scenario.ledger, scenario.tickets),
            (self.number, self.call.now),
            (&command.product_key, &command.data),
            &taken,
        );
        let planned = self.platform.post.plan(
            scenario,
            *chance,
            &Taken {
                product_key: &command.product_key,
                data: &command.data,
                at_ms: self.call.now.0.saturating_add(scenario.clock_skew_ms),
                devices: &taken,
                first_ticket,
            },
        );

        let odd = self.odd();
        let mut stats = self.platform.counters.lock();
        stats.deliveries += taken.len() as u64;
        stats.messages_planned += planned;
        if taken.len() < verdicts.len() {
            for code in verdicts.iter().filter_map(|verdict| verdict.err()) {
                *stats.refused_devices.entry(code).or_default() += 1;
            }
        }
        for &kind in odd.kinds() {
            *stats.quirks.entry(kind).or_default() += 1;
        }
        drop(stats);

        let mut tickets = first_ticket..;
        let told = keys().zip(verdicts).map(|(key, verdict)| {
            let verdict: ElementResult = verdict.map(|()| tickets.next().unwrap_or_default());
            (key, verdict)
        });
        elements::verdicts(&command.product_key, told, &odd)
    }

    /// What one device says to it. `can_fail` is whether devices of its product can be offline or refused.
    fn verdict(&self, device: Device, can_fail: bool) -> Result<(), i64> {
        let playing = &self.call.playing;
        let (scenario, chance) = (&playing.scenario, playing.chance);
        if can_fail && chance.within(scenario.offline, Question::Offline, device.seed) {
            return Err(codes::OFFLINE);
        }
        let refused = |codes: &[i64], question, subject| {
            Err(chance
                .choose(codes, question, subject)
                .unwrap_or(codes::SERVICE_EXCEPTION))
        };
        if can_fail && chance.within(scenario.rejected, Question::Rejected, device.seed) {
            return refused(
                &scenario.rejected_codes,
                Question::RejectedCode,
                device.seed,
            );
        }
        let send = mix(device.id ^ self.number);
        if chance.within(scenario.transient, Question::Transient, send) {
            return refused(&scenario.transient_codes, Question::TransientCode, send);
        }
        self.platform
            .fleet
            .admit(device, scenario, chance, self.call.now)
    }

    fn odd(&self) -> Odd {
        Odd::of(
            &self.call.playing.scenario,
            self.call.playing.chance,
            self.number,
        )
    }
}

/// The specification knows two languages, and takes CN when none is given.
pub(super) fn has_known_language(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "language")
        .all(|(_, value)| value == "CN" || value == "EN")
}
