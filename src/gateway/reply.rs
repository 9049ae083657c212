//! Reads the platform's reply to `sendServiceData`, and finds each device's part of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    Outgoing,
    lenient::{self, Field},
};
use crate::model::{Answer, Element, Ticket};

/// Reads a reply's body, as tolerantly as can be done without guessing (platform notes, "Numbers in replies").
///
/// A device's element is found by its key. What the reply says of a device twice is settled for acceptance, so that no ticket is lost;
/// what it says of others is ignored, and logged. A body that is not one whole JSON object makes an answer that is not readable.
pub fn read(
    http_status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    request: &Outgoing,
) -> Answer {
    // A message in another encoding must not cost the codes and tickets that stand beside it.
    let text = String::from_utf8_lossy(body);
    let (answer, data) = top(http_status, retry_after, &text);
    let mut found = Found::new(request);
    if let Some(data) = data {
        found.take_all(data);
    }
    if found.strays > 0 || found.doubles > 0 {
        tracing::warn!(
            product_key = &*request.payload.product_key,
            strays = found.strays,
            doubles = found.doubles,
            "a reply has elements for devices that were not asked for, or several for one"
        );
    }
    Answer {
        elements: found.elements,
        ..answer
    }
}

/// Reads a reply that speaks of no device, or whose devices are somebody else's to read.
pub(super) fn read_whole(http_status: u16, retry_after: Option<Duration>, body: &[u8]) -> Answer {
    top(http_status, retry_after, &String::from_utf8_lossy(body)).0
}

/// What stands at the top of a reply, and its `data`.
fn top(http_status: u16, retry_after: Option<Duration>, body: &str) -> (Answer, Option<&str>) {
    let (mut code, mut msg, mut message, mut data) = (None, None, None, None);
    let readable = lenient::fields(
        body.trim_start_matches('\u{feff}'),
        |key, value| match key {
            Field::Code => code = code.or_else(|| lenient::integer(value)),
            Field::Msg => msg = msg.take().or_else(|| lenient::message(value)),
            Field::Message => message = message.take().or_else(|| lenient::message(value)),
            Field::Data => data = Some(value),
            _ => {}
        },
    );
    let unread = Answer {
        http_status,
        retry_after,
        ..Answer::default()
    };
    if !readable {
        return (unread, None);
    }
    let answer = Answer {
        readable,
        code,
        message: msg.or(message),
        ..unread
    };
    (answer, data)
}

/// The elements of a reply, put in the order of the devices.
struct Found<'r> {
    devices: &'r [Arc<str>],
    product_key: &'r str,
    /// Where each device stands; made when an element is met that does not stand where its device does.
    places: Option<HashMap<&'r str, usize>>,
    elements: Vec<Option<Element>>,
    /// Elements that belong to no device of the request.
    strays: u32,
    /// Elements for a device that had one.
    doubles: u32,
}

impl<'r> Found<'r> {
    fn new(request: &'r Outgoing) -> Self {
        Self {
            devices: &request.devices,
            product_key: &request.payload.product_key,
            places: None,
            elements: vec![None; request.devices.len()],
            strays: 0,
            doubles: 0,
        }
    }

    /// Takes the elements of `data`: an array, or one object in its place.
    fn take_all(&mut self, data: &str) {
        if data.starts_with('{') {
            self.take(data, 0, self.devices.len() == 1);
            return;
        }
        // Counted only where it matters, which spares the usual reply a pass.
        let alone = self.devices.len() == 1 && {
            let mut count = 0;
            lenient::items(data, |_| count += 1);
            count == 1
        };
        let mut index = 0;
        lenient::items(data, |element| {
            self.take(element, index, alone);
            index += 1;
        });
    }

    /// Takes one element, the `index`th of the reply; `alone` when it is the only one and one device was asked for.
    fn take(&mut self, json: &str, index: usize, alone: bool) {
        let (mut device_key, mut product_key) = (None, None);
        let (mut code, mut msg, mut message, mut ticket) = (None, None, None, None);
        let is_object = lenient::fields(json, |key, value| match key {
            Field::DeviceKey => device_key = lenient::id(value),
            Field::ProductKey => product_key = lenient::id(value),
            Field::Code => code = lenient::integer(value),
            Field::Ticket => ticket = lenient::id(value).and_then(|text| Ticket::new(&text)),
            Field::Msg => msg = lenient::message(value),
            Field::Message => message = lenient::message(value),
            _ => {}
        });
        let element = Element {
            code,
            message: message.or(msg),
            ticket,
        };
        let place = match &device_key {
            _ if !is_object => None,
            _ if product_key.is_some_and(|key| key != self.product_key) => None,
            Some(key) => self.place_of(key, index),
            // Who else could be meant, if it says anything?
            None if alone && element != Element::default() => Some(0),
            None => None,
        };
        match place {
            Some(place) => self.put(place, element),
            None => self.strays += 1,
        }
    }

    /// Where this device stands in the request. Replies come in the order of the request as a rule, so its own place is looked at first.
    fn place_of(&mut self, device_key: &str, index: usize) -> Option<usize> {
        if self
            .devices
            .get(index)
            .is_some_and(|device| **device == *device_key)
        {
            return Some(index);
        }
        let devices = self.devices;
        self.places
            .get_or_insert_with(|| {
                devices
                    .iter()
                    .enumerate()
                    .map(|(place, device)| (&**device, place))
                    .collect()
            })
            .get(device_key)
            .copied()
    }

    /// Puts an element in its place. Of two for one device, the one stays that accepts, and of those the one with a ticket; else the first.
    fn put(&mut self, place: usize, element: Element) {
        let kept = &mut self.elements[place];
        if kept.is_some() {
            self.doubles += 1;
        }
        if kept
            .as_ref()
            .is_none_or(|kept| worth(&element) > worth(kept))
        {
            *kept = Some(element);
        }
    }
}

/// How much would be lost with an element: an acceptance most of all, then a ticket.
fn worth(element: &Element) -> (bool, bool) {
    (
        matches!(element.code, Some(200 | 201)),
        element.ticket.is_some(),
    )
}

#[cfg(test)]
mod tests;
