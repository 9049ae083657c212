use serde_json::json;

use super::*;

#[test]
fn a_change_replaces_what_it_names_and_nothing_else() {
    let before = Scenario {
        latency_ms: 7,
        frequency_limit: Some(Limit {
            messages: 1,
            window_ms: 2000,
        }),
        faults: BTreeMap::from([(Fault::Cut, 0.5), (Fault::Hang, 0.25)]),
        ..Scenario::default()
    };
    let after = before
        .changed(json!({"offline": 0.5, "faults": {"cut": null, "hang": 0.1}, "frequency_limit": {"messages": 3}}))
        .unwrap();
    assert_eq!(
        after,
        Scenario {
            offline: 0.5,
            frequency_limit: Some(Limit {
                messages: 3,
                window_ms: 2000
            }),
            faults: BTreeMap::from([(Fault::Hang, 0.1)]),
            ..before
        }
    );
    assert_eq!(
        after.changed(json!({"frequency_limit": null, "latency_ms": null, "offline": null, "faults": null})).unwrap(),
        Scenario::default()
    );
}

#[test]
fn quirks_have_an_older_name() {
    let quirks = json!({"quirks": {"doubled": 0.5}});
    let wanted = Scenario::default().changed(quirks).unwrap();
    assert_eq!(wanted.quirks.len(), 1);
    let older = json!({"oddities": {"doubled": 0.5}});
    assert_eq!(Scenario::default().changed(older.clone()).unwrap(), wanted);
    assert_eq!(wanted.changed(older.clone()).unwrap(), wanted);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("night.json");
    std::fs::write(&json, older.to_string()).unwrap();
    assert_eq!(Scenario::read(&json).unwrap(), wanted);
    let toml = folder.path().join("night.toml");
    std::fs::write(&toml, "[oddities]\ndoubled = 0.5\n").unwrap();
    assert_eq!(Scenario::read(&toml).unwrap(), wanted);
}

#[test]
fn what_is_no_scenario_is_refused_with_its_field() {
    let refused = |change| {
        let error = Scenario::default().changed(change).unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    };
    for (change, named) in [
        (json!({"offlin": 0.5}), "offlin"),
        (json!({"offline": 1.5}), "offline"),
        (json!({"offline": -0.1}), "offline"),
        (json!({"faults": {"cut": 2}}), "faults.cut"),
        (json!({"faults": {"cut": 0.6, "hang": 0.6}}), "add up"),
        (json!({"faults": {"kut": 0.6}}), "kut"),
        (json!({"quirks": {"doubled": -1}}), "quirks.doubled"),
        (json!({"rejected_codes": []}), "rejected_codes"),
        (json!({"transient_codes": []}), "transient_codes"),
        (json!({"rate_limit": 0}), "rate_limit"),
        (json!({"rate_burst": 0.5}), "rate_burst"),
        (json!({"limit": "in-flight:0"}), "token-bucket:40"),
        (
            json!({"limit": "in-flight:8", "rate_limit": 5}),
            "rate_limit",
        ),
        (json!({"refuse_status": 200}), "refuse_status"),
        (json!({"retry_after": "a\r\nb"}), "retry_after"),
        (json!({"inventory": {"raw": 2}}), "inventory.raw"),
        (
            json!({"inventory": {"page_limit": 0}}),
            "inventory.page_limit",
        ),
        (json!([]), "invalid type"),
    ] {
        let message = refused(change.clone());
        assert!(message.contains(named), "{change}: {message}");
    }
}

#[test]
fn toml_and_json_files_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let toml = folder.path().join("night.toml");
    std::fs::write(&toml, "seed = 3\noffline = 0.5\nfrequency_limit = { messages = 1, window_ms = 2000 }\n[faults]\nreset_after = 1\n").unwrap();
    let json = folder.path().join("night.json");
    let expected = Scenario {
        seed: 3,
        offline: 0.5,
        frequency_limit: Some(Limit {
            messages: 1,
            window_ms: 2000,
        }),
        faults: BTreeMap::from([(Fault::ResetAfter, 1.0)]),
        ..Scenario::default()
    };
    std::fs::write(&json, serde_json::to_vec(&expected).unwrap()).unwrap();
    assert_eq!(Scenario::read(&toml).unwrap(), expected);
    assert_eq!(Scenario::read(&json).unwrap(), expected);

    std::fs::write(&toml, "sed = 3").unwrap();
    let message = Scenario::read(&toml).unwrap_err().to_string();
    assert!(
        message.contains("night.toml") && message.contains("sed"),
        "{message}"
    );
    let absent = Scenario::read(&folder.path().join("absent.toml"));
    assert!(matches!(absent, Err(ScenarioError::Unreadable { .. })));
}

#[test]
fn the_demo_can_be_played() {
    Scenario::demo().validate().unwrap();
}
