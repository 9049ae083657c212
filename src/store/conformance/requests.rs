//! Requests that were refused: their halves, and what is counted of their payloads and products.

use super::*;

pub(crate) async fn both_halves_of_a_request_are_told<F: Fixture>() {
    let (mut store, _, payloads) = with_requests::<F>(&[("A", 1), ("B", 1), ("C", 1)]).await;
    let other = NewBundle {
        parent: RequestId(12),
        of_size: false,
        ..bundle(3, 1, false)
    };
    // Bundles are written after the requests that they come from.
    let requests = Changes {
        requests: vec![request(12, payloads[0], 7)],
        ..Changes::default()
    };
    written(&mut store, requests).await;
    let changes = Changes {
        bundles: vec![bundle(1, 3, false), bundle(2, 2, false), other],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let changes = Changes {
        answered_bundles: vec![(BundleId(1), true), (BundleId(3), false)],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let mut found = rows.halves(&[BundleId(2)]).await.unwrap();
    found.sort_unstable_by_key(|half| half.id);
    let told: Vec<_> = found
        .iter()
        .map(|half| (half.id.0, half.devices, half.passed, half.of_size))
        .collect();
    assert_eq!(told, [(1, 3, Some(true), true), (2, 2, None, true)]);
    assert!(
        found
            .iter()
            .all(|half| half.parent == RequestId(1) && half.parent_devices == 1)
    );
    // Each once, also when both are asked for.
    let all = [BundleId(1), BundleId(2), BundleId(3)];
    let mut found = rows.halves(&all).await.unwrap();
    found.sort_unstable_by_key(|half| half.id);
    assert_eq!(found.len(), 3);
    assert_eq!((found[2].parent_devices, found[2].passed), (7, Some(false)));
    rows.roll_back().await;
}

pub(crate) async fn refusals_are_kept_for_payloads_and_products<F: Fixture>() {
    let (mut store, _, payloads) = with_requests::<F>(&[("A", 1), ("B", 2)]).await;
    let refusal = |payload: Option<PayloadId>, code, ended| RefusalRow {
        key: RefusalKey {
            payload,
            product_key: "PK".into(),
        },
        code,
        request: RequestId(2),
        requests: 1,
        devices: 5,
        ended,
    };
    let of_payload = refusal(Some(payloads[0]), 70091, false);
    let of_product = refusal(None, 80005, true);
    let changes = Changes {
        refusals: vec![of_payload.clone(), of_product.clone()],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let unknown = RefusalKey {
        payload: Some(payloads[1]),
        product_key: "PK".into(),
    };
    let keys = [of_payload.key.clone(), of_product.key.clone(), unknown];
    let mut rows = store.begin();
    let found = rows.refusals(&keys).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&of_payload) && found.contains(&of_product));
    let one = rows.refusals(&keys[..1]).await.unwrap();
    assert_eq!(one, [of_payload]);
    rows.roll_back().await;
    let more = RefusalRow {
        code: 70092,
        request: RequestId(3),
        requests: 2,
        devices: 25,
        ended: true,
        ..refusal(Some(payloads[0]), 0, true)
    };
    let changes = Changes {
        refusals: vec![more.clone()],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    assert_eq!(
        rows.refusals(&keys[..1]).await.unwrap(),
        std::slice::from_ref(&more)
    );
    rows.roll_back().await;
    let ended = store.push_rows().await.refusals;
    assert_eq!(ended.len(), 2);
    assert!(ended.contains(&more) && ended.contains(&of_product));
}

pub(crate) async fn a_product_is_accepted_when_one_of_its_payloads_is<F: Fixture>() {
    let mut store = F::with(&[("A", 1), ("B", 2)]).await;
    let payloads = store.payloads().await;
    let key = |payload, product: &str| RefusalKey {
        payload,
        product_key: product.into(),
    };
    let keys = [
        key(Some(payloads[0]), "PK"),
        key(Some(payloads[1]), "PK"),
        key(None, "PK"),
        key(None, "OTHER"),
    ];
    for (accepted, expected) in [
        (vec![], [false; 4]),
        (vec![payloads[1]], [false, true, true, false]),
    ] {
        let changes = Changes {
            accepted_payloads: accepted,
            ..Changes::default()
        };
        written(&mut store, changes).await;
        let mut rows = store.begin();
        for (key, expected) in keys.iter().zip(expected) {
            assert_eq!(rows.is_accepted(key).await.unwrap(), expected, "{key:?}");
        }
        rows.roll_back().await;
    }
}
