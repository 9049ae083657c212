//! How many bytes may be in flight.

use crate::{
    budget::{Budget, Use},
    model::Payload,
};

/// How often a payload lies in memory while its request is under way: as such, as text for JSON, whose quotes are escaped, and in what is
/// being written to the connection.
const COPIES: usize = 3;

/// What a request has for each device, about, in bytes: its key, and what the reply says of it, also in the HTTP client's buffers.
const OF_DEVICE: usize = 512;

/// The memory of a request, about, in bytes.
fn size(payload: &Payload, devices: usize) -> usize {
    COPIES * payload.bytes() + OF_DEVICE * devices
}

/// The memory of the claims that have not been recorded.
#[derive(Debug)]
pub(super) struct Room {
    budget: Budget,
    full: bool,
}

impl Room {
    /// Room for claims within this budget.
    pub(super) fn within(budget: Budget) -> Self {
        Self {
            budget,
            full: false,
        }
    }

    /// Begins another claim: what did not fit is tried again.
    pub(super) fn begin(&mut self) {
        self.full = false;
    }

    /// Whether something did not fit.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Takes the room of a request with this payload, if there is enough; one request always goes.
    pub(super) fn take(&mut self, payload: &Payload, devices: usize) -> bool {
        let fits = self.budget.take(Use::Claims, size(payload, devices));
        self.full |= !fits;
        fits
    }

    /// Takes the room of a request that goes whatever is on its way.
    pub(super) fn force(&mut self, payload: &Payload, devices: usize) {
        self.budget.force(Use::Claims, size(payload, devices));
    }

    /// Gives the room of a request back, which a process before this one may have taken.
    pub(super) fn give_back(&mut self, payload: &Payload, devices: usize) {
        self.budget.give_back(Use::Claims, size(payload, devices));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn payload(bytes: usize) -> Arc<Payload> {
        Arc::new(Payload::plain("", "x".repeat(bytes)))
    }

    #[test]
    fn what_is_too_large_goes_alone() {
        let mut room = Room::within(Budget::default());
        let (huge, small) = (payload(40 << 20), payload(1));
        assert!(room.take(&huge, 1));
        assert!(!room.take(&small, 1));
        assert!(room.is_full());
        room.give_back(&huge, 1);
        room.begin();
        assert!(room.take(&small, 1) && !room.take(&huge, 1));
        room.give_back(&small, 1);
        room.give_back(&small, 1);
        assert!(room.take(&huge, 1));
    }

    #[test]
    fn what_did_not_fit_is_tried_again_and_a_probe_goes_at_once() {
        let mut room = Room::within(Budget::default());
        let (huge, small) = (payload(40 << 20), payload(1));
        room.force(&huge, 1);
        assert!(!room.take(&small, 1), "it has taken its room");
        assert!(room.is_full());
        room.begin();
        assert!(!room.is_full());
    }

    #[test]
    fn small_payloads_are_not_held_up() {
        let mut room = Room::within(Budget::default());
        let usual = payload(200);
        assert!((0..1024).all(|_| room.take(&usual, 100)));
        assert!(!room.is_full());
    }

    #[test]
    fn many_devices_take_room_for_what_their_replies_say() {
        let mut room = Room::within(Budget::default());
        let usual = payload(200);
        let taken = (0..2048).take_while(|_| room.take(&usual, 1000)).count();
        assert!((64..256).contains(&taken), "{taken}");
        // All of it comes back.
        (0..taken).for_each(|_| room.give_back(&usual, 1000));
        let again = (0..2048).take_while(|_| room.take(&usual, 1000)).count();
        assert_eq!(again, taken);
    }
}
