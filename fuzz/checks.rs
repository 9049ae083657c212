//! What must hold whatever the bytes are: shared by the fuzz targets and by `tests/corpus.rs`, which runs them without a nightly compiler.

use std::sync::Arc;

use fleetpush::testing::{Defaults, Entry, Manifest, Outgoing, Payload, read_reply};

/// Reads the bytes as a manifest, without and with defaults.
pub(crate) fn manifest(bytes: &[u8]) {
    let with_defaults = Defaults {
        product_key: Some("PK".into()),
        service: Some("svc".into()),
        params: vec![("mode".into(), "1".into())],
        ..Defaults::default()
    };
    for defaults in [Defaults::default(), with_defaults] {
        let Ok(manifest) = Manifest::from_reader("fuzzed", bytes, defaults) else {
            continue;
        };
        let first = entries(&manifest);
        let second = entries(&manifest);
        assert_eq!(first, second, "a second reading differs");
    }
}

/// Every entry of a manifest, and how its reading ended, as text.
fn entries(manifest: &Manifest) -> (Vec<Entry>, Option<String>) {
    let rows = match manifest.rows() {
        Ok(rows) => rows,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut entries = Vec::new();
    for entry in rows {
        match entry {
            Ok(entry) => {
                check(&entry);
                entries.push(entry);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return (entries, Some(error.to_string()));
            }
        }
    }
    assert!(!entries.is_empty(), "a manifest without rows is an error");
    (entries, None)
}

fn check(entry: &Entry) {
    match entry {
        Entry::Row(row) => {
            assert!(row.line > 0 && !row.device_key.is_empty());
            assert!(!row.payload.product_key.is_empty());
            for key in [&row.device_key, &row.payload.product_key] {
                let unseen = |character: char| character.is_control() || character == '\u{feff}';
                assert!(!key.contains(unseen), "{key:?} goes out");
            }
            let data: serde_json::Value =
                serde_json::from_str(&row.payload.data).unwrap_or_else(|error| {
                    panic!("{:?} goes out and is not JSON: {error}", row.payload.data)
                });
            assert!(data.is_array() || data.is_object());
            for text in [&row.labels, &row.payload.extend_para]
                .into_iter()
                .flatten()
            {
                let object: serde_json::Value = serde_json::from_str(text).expect("an object");
                assert!(object.is_object(), "{text}");
            }
        }
        Entry::Bad(error) => {
            assert!(error.line > 0 && !error.errors.is_empty());
            assert!(error.errors.iter().all(|one| !one.reason.is_empty()));
        }
    }
}

/// Reads the bytes as the reply to a request to three devices.
pub(crate) fn reply(bytes: &[u8]) {
    let request = Outgoing {
        suspect: false,
        payload: Arc::new(Payload {
            product_key: "PK0001".into(),
            data: "[]".into(),
            qos: None,
            is_cache: None,
            cache_time: None,
            is_cover: None,
            extend_para: None,
        }),
        devices: ["DK00001", "DK00002", "\u{202e}\"\\"].map(Arc::from).into(),
        not_after: None,
    };
    let answer = read_reply(200, None, bytes, &request);
    assert_eq!(answer.elements.len(), request.devices.len());
    if !answer.readable {
        assert!(answer.code.is_none() && answer.elements.iter().all(Option::is_none));
    }
    // A ticket is the platform's own text, so that it can be looked for in the bytes.
    let text = String::from_utf8_lossy(bytes);
    for ticket in answer
        .elements
        .iter()
        .flatten()
        .filter_map(|element| element.ticket.as_ref())
    {
        if ticket.as_str().bytes().all(|byte| byte.is_ascii_digit()) && !text.contains('\\') {
            assert!(
                text.contains(ticket.as_str()),
                "{ticket} is not in the reply"
            );
        }
    }
}
