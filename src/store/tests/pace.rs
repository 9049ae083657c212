//! What a platform was found to take.

use std::time::Duration;

use super::both::both;
use crate::model::Timestamp;

#[tokio::test]
async fn what_a_platform_takes_is_kept_replaced_and_forgotten_in_both() {
    let (stores, _folder) = both().await;
    for mut store in stores {
        assert!(store.found_rate("https://one").await.unwrap().is_none());
        for (rate, span, at) in [(40.0, 12, 1_000), (20.5, 30, 2_000)] {
            let span = Duration::from_secs(span);
            store
                .keep_rate("https://one", Some((rate, span)), Timestamp(at))
                .await
                .unwrap();
            let kept = store.found_rate("https://one").await.unwrap().unwrap();
            assert_eq!(
                (kept.rate, kept.span, kept.found_at),
                (rate, span, Timestamp(at))
            );
        }
        assert!(store.found_rate("https://other").await.unwrap().is_none());
        store
            .keep_rate("https://one", None, Timestamp(3_000))
            .await
            .unwrap();
        assert!(store.found_rate("https://one").await.unwrap().is_none());
        store.close().await.unwrap();
    }
}
