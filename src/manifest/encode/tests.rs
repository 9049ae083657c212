use std::sync::Arc;

use super::*;
use crate::thing_model::{self, ModelSource, NoModel, ThingModel};

fn draft<'a>(cells: &[(Field, &'a str)], params: &[(&'a str, &'a str)]) -> Draft<'a> {
    let mut draft = Draft::default();
    for (field, text) in cells {
        draft.set(*field, Value::Text(Cow::Borrowed(text)));
    }
    for (code, text) in params {
        let value = Value::Text(Cow::Borrowed(text));
        draft.params.push((Cow::Borrowed(code), value));
    }
    draft
}

fn made(defaults: &Defaults, draft: &Draft<'_>) -> Option<Payload> {
    let encoder = Encoder::new(defaults.clone()).expect("good defaults");
    let mut errors = CellErrors::default();
    let payload = encoder.payload(draft, &mut errors);
    assert_eq!(payload.is_none(), errors != CellErrors::default());
    payload
}

fn payload(defaults: &Defaults, draft: &Draft<'_>) -> Payload {
    made(defaults, draft).expect("a good draft")
}

fn service_defaults() -> Defaults {
    Defaults {
        product_key: Some("PK1".into()),
        service: Some("fuwu".into()),
        params: vec![("a".into(), "1".into()), ("b".into(), "[2]".into())],
        ..Defaults::default()
    }
}

fn data(cells: &[(Field, &str)], params: &[(&str, &str)]) -> String {
    payload(&service_defaults(), &draft(cells, params))
        .data
        .into()
}

/// A model of every product, with one parameter of each type.
#[derive(Debug)]
struct Typed;

impl ModelSource for Typed {
    fn model(&self, _product_key: &str) -> Result<Option<Arc<ThingModel>>, NoModel> {
        let export = r#"{"services":[{"code":"s","inputData":[
            {"code":"int","dataType":"INT","specs":{}},
            {"code":"double","dataType":"DOUBLE","specs":{}},
            {"code":"bool","dataType":"BOOL","specs":[]},
            {"code":"enum","dataType":"ENUM","specs":[{"name":"On","value":"1"}]},
            {"code":"text","dataType":"TEXT","specs":{}},
            {"code":"raw","dataType":"RAW","specs":{}},
            {"code":"date","dataType":"DATE","specs":{"length":"13"}},
            {"code":"list","dataType":"ARRAY","specs":{"dataType":"TEXT"}}]}]}"#;
        Ok(thing_model::read(export).ok().map(Arc::new))
    }
}

/// The wire form has strings alone, and a text keeps what it is written like: nothing is left for a type to change.
#[test]
fn the_types_of_a_model_change_nothing_of_what_goes_out() {
    let defaults = Defaults {
        product_key: Some("PK1".into()),
        service: Some("s".into()),
        ..Defaults::default()
    };
    let encoded = |params: &[(&str, &str)], models: bool| {
        let mut encoder = Encoder::new(defaults.clone()).expect("good defaults");
        if models {
            encoder.set_models(Models::new(Arc::new(Typed)));
        }
        let mut draft = Draft::default();
        for (code, text) in params {
            let value = parameter_text(text).expect("a value");
            draft.params.push((Cow::Borrowed(code), value));
        }
        let mut errors = CellErrors::default();
        let payload = encoder.payload(&draft, &mut errors);
        assert_eq!(payload.is_none(), errors != CellErrors::default());
        payload.map(|payload| String::from(payload.data))
    };
    let fits = [
        ("int", "007"),
        ("double", "21.50"),
        ("bool", "true"),
        ("enum", "1"),
        ("text", "01"),
        ("raw", "aB"),
        ("date", "1750000000000"),
        ("list", r#"[1,true,"x"]"#),
    ];
    assert_eq!(
        encoded(&fits, true).as_deref(),
        Some(
            r#"[{"s":[{"int":"007"},{"double":"21.50"},{"bool":"true"},{"enum":"1"},{"text":"01"},{"raw":"aB"},{"date":"1750000000000"},{"list":[{"0":"1"},{"0":"true"},{"0":"x"}]}]}]"#
        )
    );
    assert_eq!(encoded(&fits, true), encoded(&fits, false));
    // What a type could only guess at is refused, and not made to fit.
    for (code, text) in [
        ("bool", "1"),
        ("bool", "TRUE"),
        ("enum", "On"),
        ("int", "7.0"),
        ("date", "2026-11-26"),
        ("text", "[1]"),
    ] {
        assert_eq!(encoded(&[(code, text)], true), None, "{code} {text}");
        assert!(encoded(&[(code, text)], false).is_some(), "{code} {text}");
    }
}

#[test]
fn a_bare_key_gets_the_defaults() {
    let defaults = Defaults {
        qos: Some(2),
        cache_time: Some(360),
        cover: true,
        ..service_defaults()
    };
    assert_eq!(
        payload(&defaults, &Draft::default()),
        Payload {
            product_key: "PK1".into(),
            data: r#"[{"fuwu":[{"a":"1"},{"b":[{"0":"2"}]}]}]"#.into(),
            qos: Some(2),
            is_cache: Some(true),
            cache_time: Some(360),
            is_cover: Some(true),
            extend_para: None,
        }
    );
    let defaults = Defaults {
        product_key: Some("PK1".into()),
        data: Some("[ 1 ]".into()),
        ..Defaults::default()
    };
    assert_eq!(&*payload(&defaults, &Draft::default()).data, "[ 1 ]");
}

#[test]
fn a_rows_own_values_win() {
    let defaults = Defaults {
        qos: Some(2),
        cache_time: Some(360),
        cover: true,
        ..service_defaults()
    };
    let own = draft(
        &[
            (Field::ProductKey, "PK2"),
            (Field::Qos, "0"),
            (Field::CacheTime, "5"),
            (Field::IsCover, "false"),
        ],
        &[],
    );
    let payload = payload(&defaults, &own);
    assert_eq!(&*payload.product_key, "PK2");
    assert_eq!((payload.qos, payload.is_cover), (Some(0), Some(false)));
    assert_eq!(
        (payload.is_cache, payload.cache_time),
        (Some(true), Some(5))
    );
}

#[test]
fn a_row_that_switches_the_cache_off_gets_no_time_for_it() {
    let defaults = Defaults {
        cache_time: Some(360),
        ..service_defaults()
    };
    let payload = payload(&defaults, &draft(&[(Field::IsCache, "false")], &[]));
    assert_eq!((payload.is_cache, payload.cache_time), (Some(false), None));
}

#[test]
fn default_parameters_join_those_of_the_same_service_only() {
    for (cells, params, expected) in [
        (
            &[][..],
            &[("c", "3"), ("a", "9")][..],
            r#"[{"fuwu":[{"a":"9"},{"b":[{"0":"2"}]},{"c":"3"}]}]"#,
        ),
        (
            &[(Field::Service, "fuwu")],
            &[],
            r#"[{"fuwu":[{"a":"1"},{"b":[{"0":"2"}]}]}]"#,
        ),
        (
            &[(Field::Service, "other")],
            &[("c", "3")],
            r#"[{"other":[{"c":"3"}]}]"#,
        ),
        (&[(Field::Data, "[7]")], &[], "[7]"),
    ] {
        assert_eq!(data(cells, params), expected);
    }
}

#[test]
fn default_parameters_without_a_service_go_to_every_service() {
    let defaults = Defaults {
        service: None,
        ..service_defaults()
    };
    assert_eq!(made(&defaults, &Draft::default()), None);
    let named = draft(&[(Field::Service, "other")], &[]);
    assert_eq!(
        &*payload(&defaults, &named).data,
        r#"[{"other":[{"a":"1"},{"b":[{"0":"2"}]}]}]"#
    );
}

#[test]
fn a_default_wire_string_gives_way_to_a_rows_service() {
    let defaults = Defaults {
        product_key: Some("PK1".into()),
        data: Some("[]".into()),
        ..Defaults::default()
    };
    let named = draft(&[(Field::Service, "s")], &[("a", "1")]);
    assert_eq!(&*payload(&defaults, &named).data, r#"[{"s":[{"a":"1"}]}]"#);
    // Parameters alone do not say what they are for.
    assert_eq!(made(&defaults, &draft(&[], &[("a", "1")])), None);
}

#[test]
fn default_parameters_without_a_wire_form_are_refused_at_once() {
    for (value, expected) in [
        ("[[1]]", "--param: `x[0]` is nested deeper"),
        ("{\"a\":1", "--param: `x` begins like JSON and is not JSON"),
    ] {
        let defaults = Defaults {
            params: vec![("x".into(), value.into())],
            ..Defaults::default()
        };
        let error = Encoder::new(defaults).expect_err(value).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
