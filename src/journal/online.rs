//! Which devices that were offline can be sent to now, and for which runs.

use std::collections::HashSet;

use crate::{
    model::{ListedDevice, RunId, Timestamp},
    store::{DevicePresence, Run},
};

/// Of several runs of one manifest path the newest: an older one would bring back what the newer one has replaced. A run whose path nobody
/// knows stands for itself. The newest first.
pub(crate) fn newest_of_each_manifest(runs: &[Run]) -> Vec<RunId> {
    let mut runs: Vec<_> = runs
        .iter()
        .map(|run| (run.id, run.about.manifest_path.as_deref()))
        .collect();
    runs.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(id.0));
    let mut seen = HashSet::new();
    runs.into_iter()
        .filter(|(_, path)| path.is_none_or(|path| seen.insert(path.to_owned())))
        .map(|(id, _)| id)
        .collect()
}

/// Whether messages say that a device has come online since its task failed, and is not gone again.
///
/// If they do not, that proves nothing: nobody may have listened when it came, or came back. The platform's list has to be asked.
pub(crate) fn by_messages(failed_at: Timestamp, presence: DevicePresence) -> bool {
    let DevicePresence {
        online_at,
        offline_at,
    } = presence;
    online_at.is_some_and(|online| {
        online > failed_at && offline_at.is_none_or(|offline| offline < online)
    })
}

/// Whether the platform lists a device as online, or, where it does not say, as seen since its task failed.
pub(crate) fn by_list(failed_at: Timestamp, device: &ListedDevice) -> bool {
    match device.state.online {
        Some(is_online) => is_online,
        None => device.last_online.is_some_and(|seen| seen > failed_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ListedState;

    #[test]
    fn a_device_counts_that_has_come_since_and_is_not_gone_again() {
        let said = |online: Option<i64>, offline: Option<i64>| {
            let presence = DevicePresence {
                online_at: online.map(Timestamp),
                offline_at: offline.map(Timestamp),
            };
            by_messages(Timestamp(100), presence)
        };
        assert!(said(Some(101), None));
        assert!(said(Some(101), Some(99)));
        // Of these the list is asked: messages may be missing.
        assert!(!said(None, None));
        assert!(!said(Some(100), None), "it failed all the same");
        assert!(!said(Some(50), Some(60)), "long before the failure");
        assert!(!said(Some(101), Some(102)), "it is gone again");
        assert!(!said(Some(101), Some(101)), "nobody knows which is later");
        assert!(!said(None, Some(150)));
    }

    #[test]
    fn a_list_says_who_is_online_and_else_who_was_seen() {
        let listed = |online, last_online: Option<i64>| {
            let device = ListedDevice {
                product_key: "PK".into(),
                device_key: "D".into(),
                name: None,
                sn: None,
                state: ListedState {
                    online,
                    ..ListedState::default()
                },
                last_online: last_online.map(Timestamp),
            };
            by_list(Timestamp(100), &device)
        };
        assert!(listed(Some(true), Some(50)));
        assert!(!listed(Some(false), Some(150)));
        assert!(listed(None, Some(150)));
        assert!(!listed(None, Some(100)));
        assert!(!listed(None, None));
    }
}
