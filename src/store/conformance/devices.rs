//! The memory of throttled devices.

use std::{collections::HashMap, sync::Arc};

use super::*;

pub(crate) async fn a_device_rests_as_long_as_it_was_told<F: Fixture>() {
    let names = [("A", 1), ("B", 1), ("C", 1), ("D", 1)];
    let mut store = F::with(&names).await;
    let tasks = store.tasks().await;
    let throttle = |device: &str, product: &str, until| DeviceThrottle {
        device_key: device.into(),
        payload: Arc::new(Payload::plain(product, "[]")),
        class: Class::Quota,
        until,
    };
    let changes = Changes {
        throttles: vec![
            throttle("A", "PK", later(30)),
            throttle("B", "PK", NOW),
            throttle("C", "OTHER", later(30)),
        ],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let found = rows.throttled_until(&tasks, NOW).await.unwrap();
    assert_eq!(found, HashMap::from([(tasks[0], later(30))]));
    let of_others = rows.throttled_until(&tasks[1..], NOW).await.unwrap();
    assert!(of_others.is_empty());
    // A throttle of the future is a clock's that was ahead.
    let before = Timestamp(NOW.0 - 1);
    assert!(
        rows.throttled_until(&tasks, before)
            .await
            .unwrap()
            .is_empty()
    );
    rows.roll_back().await;
    // The last one counts, also when it is shorter.
    let changes = Changes {
        throttles: vec![throttle("A", "PK", later(2))],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let found = rows.throttled_until(&tasks, NOW).await.unwrap();
    assert_eq!(found, HashMap::from([(tasks[0], later(2))]));
    rows.roll_back().await;
}
