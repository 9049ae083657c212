use insta::assert_snapshot;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;

/// An export with every type, as the vendor's page writes them: numbers are strings.
fn export() -> Value {
    json!({"code": 200, "data": {
        "profile": {"productKey": "PK1"},
        "services": [
            {"code": "setMode", "name": "Mode", "subType": "ASYNC", "id": 22, "type": "SERVICE", "inputData": [
                {"code": "mode", "dataType": "INT", "id": 1, "specs": {"min": "1", "max": "100", "step": "1", "multiple": "", "unit": ""}},
                {"code": "ratio", "dataType": "DOUBLE", "id": 2, "specs": {"min": "0", "max": "1", "step": "0.1"}},
                {"code": "on", "dataType": "BOOL", "id": 3, "specs": [{"dataType": "BOOL", "name": "On", "value": "true"}]},
                {"code": "level", "dataType": "ENUM", "id": 4, "specs": [
                    {"dataType": "ENUM", "name": "Low", "value": "1"}, {"dataType": "ENUM", "name": "High", "value": "2"}]},
                {"code": "note", "dataType": "TEXT", "id": 5, "specs": {"length": "5"}},
                {"code": "raw1", "dataType": "RAW", "id": 6, "specs": {"length": 2}},
                {"code": "at", "dataType": "DATE", "id": 7, "specs": {"length": "13"}},
                {"code": "cfg", "dataType": "STRUCT", "id": 8, "specs": [
                    {"code": "lo", "dataType": "INT", "id": 1, "specs": {"min": "-5", "max": "5", "step": ""}},
                    {"code": "name", "dataType": "TEXT", "id": 2, "specs": {"length": "3"}}]},
                {"code": "limits", "dataType": "ARRAY", "id": 9, "specs":
                    {"size": "2", "dataType": "INT", "numberSpecs": {"min": "0", "max": "10", "step": "5"}}},
                {"code": "zones", "dataType": "ARRAY", "id": 10, "specs":
                    {"size": "3", "dataType": "STRUCT", "specs": [{"code": "id", "dataType": "INT", "id": 1, "specs": {"min": "1"}}]}},
                {"code": "odd", "dataType": "INT", "id": 11, "specs": {"min": "2", "max": "50", "step": "5"}},
                {"$ref": "#/properties/id/30"},
                {"$ref": "#/properties/id/31"},
            ]},
            {"code": "reboot", "name": "Reboot", "id": 23},
        ],
        "properties": [
            {"code": "temperature", "dataType": "INT", "subType": "R", "id": 30, "specs": {}},
            {"code": "target", "dataType": "FLOAT", "subType": "RW", "id": 31, "specs": {"max": "-1.5", "step": "1"}},
        ],
    }})
}

fn model() -> ThingModel {
    read(&export().to_string()).unwrap()
}

/// What is wrong with parameters of `setMode`, one a line.
fn told(params: &str) -> String {
    let data = format!("[{{\"setMode\":[{params}]}}]");
    let told: Vec<_> = model()
        .check(&data)
        .iter()
        .map(Violation::to_string)
        .collect();
    told.join("\n")
}

#[test]
fn what_fits_is_taken() {
    assert_eq!(model().remarks(), [""; 0]);
    for params in [
        r#"{"mode":"1"}"#,
        r#"{"mode":"100"}"#,
        r#"{"mode":7}"#,
        r#"{"ratio":"0.3"},{"on":"false"},{"level":"2"},{"note":"äöüßx"},{"raw1":"aAbB"}"#,
        r#"{"on":true},{"at":"1750000000000"}"#,
        // In steps of 5: from 0, and from the least.
        r#"{"odd":"5"}"#,
        r#"{"odd":"7"}"#,
        r#"{"cfg":[{"lo":"-5"},{"name":"abc"}]},{"limits":[{"0":"0"},{"0":"10"}]}"#,
        r#"{"zones":[{"0":[{"id":"99999999"}]}]},{"target":"-3"}"#,
        "",
    ] {
        let told = told(params);
        assert!(told.is_empty(), "{params}: {told}");
    }
    assert_eq!(model().check(r#"[{"reboot":[]}]"#), []);
}

#[test]
fn what_the_platform_would_refuse_is_told_with_its_code_and_what_is_allowed() {
    let wrong = [
        r#"{"mode":"2000"}"#,
        r#"{"mode":"1.5"}"#,
        r#"{"mode":"fast"}"#,
        r#"{"moed":"1"}"#,
        r#"{"colour":"1"}"#,
        r#"{"mode":"1"},{"mode":"2"}"#,
        r#"{"ratio":"0.25"}"#,
        r#"{"odd":"6"}"#,
        r#"{"on":"1"}"#,
        r#"{"level":"3"}"#,
        r#"{"level":"high"}"#,
        r#"{"note":"abcdef"}"#,
        r#"{"raw1":"ABC"},{"raw1":"XY"}"#,
        r#"{"raw1":"AABBCC"}"#,
        r#"{"at":"2026-11-26"}"#,
        r#"{"cfg":"1"}"#,
        r#"{"cfg":[{"lo":"6"},{"hi":"1"}]}"#,
        r#"{"limits":[{"0":"5"},{"0":"7"},{"0":"10"}]}"#,
        r#"{"limits":[{"1":"5"}]}"#,
        r#"{"zones":[{"0":[{"id":"0"}]},{"0":"1"}]}"#,
        r#"{"note":[{"0":"a"}]}"#,
        r#"{"temperature":"20"}"#,
        r#"{"target":"-1"}"#,
    ]
    .map(|params| format!("{params}\n    {}", told(params).replace('\n', "\n    ")));
    let calls = [
        r#"[{"setmode":[]}]"#,
        r#"[{"format":[]}]"#,
        r#"[{"temperature":"1"}]"#,
        r#"[{"target":"-3"},{"target":"5"}]"#,
        r#"[{"setMode":"1"}]"#,
        r#"{"mode":1}"#,
        r#"[{"setMode":[{"mode":"1","on":"true"}]}]"#,
        "[]",
    ]
    .map(|data| {
        let told: Vec<_> = model()
            .check(data)
            .iter()
            .map(Violation::to_string)
            .collect();
        format!("{data}\n    {}", told.join("\n    "))
    });
    assert_snapshot!(format!("{}\n{}", wrong.join("\n"), calls.join("\n")));
}

#[test]
fn a_bare_scalar_is_checked_as_a_string_of_its_text_and_null_not_at_all() {
    for (bare, text) in [
        ("5", "5"),
        ("2000", "2000"),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("18446744073709551616", "18446744073709552000"),
    ] {
        for code in [
            "mode",
            "moed",
            "ratio",
            "on",
            "level",
            "note",
            "raw1",
            "at",
            "cfg",
            "limits",
            "odd",
            "temperature",
            "target",
        ] {
            assert_eq!(
                told(&format!("{{\"{code}\":{bare}}}")),
                told(&format!("{{\"{code}\":\"{text}\"}}")),
                "{code} {bare}"
            );
        }
    }
    let inside = r#"{"limits":[{"0":5},{"0":7}]},{"cfg":[{"lo":6},{"name":"abc"}]},{"zones":[{"0":[{"id":0}]}]}"#;
    assert_eq!(told(inside).lines().count(), 3, "{}", told(inside));
    // Nobody says whether the platform takes null: a name is checked, and its value not.
    for params in [
        r#"{"mode":null}"#,
        r#"{"cfg":null}"#,
        r#"{"cfg":[{"lo":null}]}"#,
        r#"{"limits":[{"0":null}]}"#,
    ] {
        assert_eq!(told(params), "", "{params}");
    }
    assert!(told(r#"{"moed":null}"#).contains("did you mean `mode`?"));
    assert!(told(r#"{"temperature":null}"#).contains("read-only"));
    assert_eq!(model().check(r#"[{"setMode":null}]"#), []);
    assert_eq!(model().check(r#"[{"setMode":5}]"#).len(), 1);
}

#[test]
fn the_parameter_at_fault_is_named() {
    let violations = model().check(r#"[{"setMode":[{"cfg":[{"lo":"9"}]}]},{"x":[]}]"#);
    let params: Vec<_> = violations
        .iter()
        .map(|found| found.param.as_deref())
        .collect();
    assert_eq!(params, [Some("cfg"), None]);
}

#[test]
fn a_message_that_is_too_long_for_a_device_is_refused() {
    let mut export = export();
    export["data"]["services"][0]["inputData"][4]["specs"]["length"] = json!("100000");
    export["data"]["services"][0]["inputData"][5]["specs"]["length"] = json!("100000");
    let model = read(&export.to_string()).unwrap();
    let told = |code: &str, length: usize| {
        let data = format!(
            "[{{\"setMode\":[{{\"{code}\":\"{}\"}}]}}]",
            "A".repeat(length)
        );
        model
            .check(&data)
            .iter()
            .map(Violation::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(told("note", 65_532), [""; 0]);
    assert_eq!(
        told("note", 65_533),
        ["takes 65537 bytes on the way to the device, of 65536 that a message may have"]
    );
    // Two digits are one byte.
    assert_eq!(told("raw1", 100_000), [""; 0]);
    assert_eq!(told("raw1", 131_080).len(), 1);
}

#[test]
fn what_is_not_understood_is_remarked_on_and_refuses_nothing() {
    let export = json!({"services": [
        {"code": "s", "inputData": [
            {"code": "a", "dataType": "QUATERNION", "specs": {}},
            {"code": "b", "dataType": "INT", "specs": {"min": "low", "max": "5"}},
            {"code": "c", "dataType": "ENUM", "specs": []},
            {"code": "d", "dataType": "STRUCT", "specs": "none"},
            {"code": "e", "dataType": "TEXT", "specs": {"length": "long"}},
            {"$ref": "#/properties/id/9"},
            {"name": "no code"},
        ]},
        {"name": "no code"},
    ], "properties": [{"name": "no code"}]});
    let model = read(&export.to_string()).unwrap();
    assert_snapshot!(model.remarks().join("\n"));
    let data = r#"[{"s":[{"a":"x"},{"b":"-99"},{"c":"7"},{"d":[{"q":"1"}]},{"e":"any length"},{"unknown":"1"}]}]"#;
    assert_eq!(model.check(data), []);
    assert_eq!(model.check(r#"[{"s":[{"b":"6"}]}]"#).len(), 1);
}

#[test]
fn what_is_no_export_says_what_it_is() {
    let told = [
        "no JSON",
        r#"{"code":70017,"msg":"Product does not exist"}"#,
        r#"{"code":"70017","data":null}"#,
        r#"{"code":200,"data":null}"#,
        "[]",
        "{}",
    ]
    .map(|text| format!("{text}\n    {}", read(text).unwrap_err()));
    assert_snapshot!(told.join("\n"));
    // Its `data` alone is as good.
    let data = read(&export()["data"].to_string()).unwrap();
    assert_eq!(data.product_key(), Some("PK1"));
    assert_eq!(data.services(), ["reboot", "setMode"]);
}

#[test]
fn a_service_without_input_takes_no_parameter() {
    let told: Vec<_> = model()
        .check(r#"[{"reboot":[{"delay":"5"}]}]"#)
        .iter()
        .map(Violation::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "the service `reboot` has no parameter `delay`; it has no parameters (the platform's 70094)"
        ]
    );
}

/// The wire form of a value that a manifest gives.
fn wire(value: &Value) -> Value {
    match value {
        Value::Array(elements) => elements
            .iter()
            .map(|element| json!({"0": wire(element)}))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(code, value)| json!({code: wire(value)}))
            .collect(),
        Value::String(_) => value.clone(),
        scalar => Value::String(scalar.to_string()),
    }
}

/// A definition of a type, as an export writes it.
fn definition() -> impl Strategy<Value = Value> {
    // From which number a step counts is not documented: the least is a step from 0 here, so that it makes no difference.
    let number = (
        prop_oneof!["INT", "FLOAT", "DOUBLE"],
        -12..12i32,
        0..50i32,
        1..4i32,
    )
        .prop_map(|(data_type, min, width, step)| {
            let (min, max) = (min * step, min * step + width);
            json!({"dataType": data_type, "specs":
                {"min": min.to_string(), "max": max.to_string(), "step": step.to_string()}})
        });
    let scalar = prop_oneof![
        number,
        Just(json!({"dataType": "BOOL", "specs": []})),
        vec("[a-z0-9]{1,4}", 1..5).prop_map(|values| {
            let members: Vec<_> = values
                .iter()
                .map(|value| json!({"value": value, "name": "n"}))
                .collect();
            json!({"dataType": "ENUM", "specs": members})
        }),
        (1..10u32).prop_map(|length| json!({"dataType": "TEXT", "specs": {"length": length}})),
        (1..10u32)
            .prop_map(|length| json!({"dataType": "RAW", "specs": {"length": length.to_string()}})),
        Just(json!({"dataType": "DATE", "specs": {"length": "13"}})),
    ];
    let member = scalar.clone();
    let structure = vec(member, 1..4).prop_map(|members| {
        let members: Vec<_> = members
            .into_iter()
            .enumerate()
            .map(|(place, mut member)| {
                member["code"] = json!(format!("m{place}"));
                member
            })
            .collect();
        json!({"dataType": "STRUCT", "specs": members})
    });
    let array = (1..5u32, structure.clone()).prop_map(|(size, element)| {
        json!({"dataType": "ARRAY", "specs": {"size": size, "dataType": "STRUCT", "specs": element["specs"]}})
    });
    prop_oneof![4 => scalar, 1 => structure, 1 => array]
}

/// The text of a scalar, which fits some type or none.
fn scalar_text() -> impl Strategy<Value = String> {
    prop_oneof![
        (-60..110i32).prop_map(|number| number.to_string()),
        "-?[0-9]{1,2}\\.[05]",
        "[0-9]{13}",
        "[0-9]{30,37}",
        "true|false|1|0|NaN|1e1|\\+5|1_0|",
        "[A-Fa-f0-9]{1,24}",
        "[a-zäö]{1,12}",
    ]
}

/// A value in its wire form.
fn wire_value() -> impl Strategy<Value = Value> {
    let scalar = scalar_text().prop_map(Value::from);
    let code = prop_oneof![4 => Just("0"), 2 => Just("m0"), 1 => Just("m1"), 1 => Just("q")];
    scalar.prop_recursive(2, 8, 4, move |inner| {
        vec((code.clone(), inner), 0..4).prop_map(|pairs| {
            pairs
                .into_iter()
                .map(|(code, value)| json!({code: value}))
                .collect()
        })
    })
}

proptest! {
    #[test]
    fn an_example_of_any_model_fits_it_and_what_is_added_to_it_does_not(
        definitions in vec(definition(), 0..8),
    ) {
        let inputs: Vec<_> = definitions
            .into_iter()
            .enumerate()
            .map(|(place, mut input)| {
                input["code"] = json!(format!("p{place}"));
                input
            })
            .collect();
        let export = json!({"services": [{"code": "s", "inputData": inputs}]});
        let model = read(&export.to_string()).unwrap();
        prop_assert_eq!(model.remarks(), [""; 0]);
        let example = model.example("s").unwrap();
        let mut params: Vec<_> = example.iter().map(|(code, value)| json!({*code: wire(value)})).collect();
        prop_assert_eq!(model.check(&json!([{"s": params}]).to_string()), []);
        params.push(json!({"q": "1"}));
        prop_assert_eq!(model.check(&json!([{"s": params}]).to_string()).len(), 1);
    }

    #[test]
    fn the_simulator_refuses_the_same_with_a_code_that_was_told(
        definition in definition(),
        values in vec(wire_value(), 1..8),
    ) {
        let mut input = definition;
        input["code"] = json!("p");
        let export = json!({"services": [{"code": "s", "inputData": [input]}]});
        let model = read(&export.to_string()).unwrap();
        for value in values {
            let data = json!([{"s": [{"p": value}]}]).to_string();
            let told: Vec<_> = model.check(&data).iter().map(|found| found.code).collect();
            match crate::simulator::check_thing_model(&export, &data) {
                Ok(()) => prop_assert_eq!(told, [], "{}", data),
                Err(code) => prop_assert!(told.contains(&Some(code)), "{data}: {code}, {told:?}"),
            }
        }
    }

    #[test]
    fn no_text_makes_the_check_panic(data in "\\PC{0,40}|[\\[\\]{}\":,a-z0-9]{0,40}") {
        model().check(&data);
        let _ = read(&data);
    }
}
