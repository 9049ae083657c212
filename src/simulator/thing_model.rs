//! The thing model of a product: serves the export (page "Query Latest Product Thing Model (JSON Format)"), and checks a command against it
//! as the platform would.
//!
//! The check reads the export's JSON as it stands and shares nothing with the one that fleetpush does before a push, so that the two can
//! be held against one another.

use hyper::Response;
use serde_json::{Value, json};

use super::{
    codes,
    login::Query,
    platform::{Call, Platform},
    question,
    reply::{Reply, ReplyBody},
    respond::{self, Dropped},
    served_model::served,
};

/// Answers one question for a model, or ends its connection.
pub(super) async fn answer(
    platform: &Platform,
    call: &Call,
) -> Result<Response<ReplyBody>, Dropped> {
    let respond_with = |_| reply(call);
    question::answer(
        platform,
        call,
        |stats| &mut stats.thing_models,
        respond_with,
    )
    .await
}

fn reply(call: &Call) -> Reply {
    let scenario = &call.playing.scenario;
    let query = Query::parse(call.query());
    let Some(product) = query.get("productKey").filter(|key| !key.is_empty()) else {
        return respond::whole(codes::PRODUCT_EMPTY);
    };
    if scenario.refused_products.iter().any(|key| key == product) {
        return respond::whole(codes::PRODUCT_UNKNOWN);
    }
    let mut model = data(&served(scenario)).clone();
    if let Some(profile) = model.get_mut("profile") {
        profile["productKey"] = json!(product);
    }
    Reply::json(&json!({"code": codes::OK, "msg": "", "data": model}))
}

/// The model within the platform's whole reply, or on its own.
fn data(model: &Value) -> &Value {
    model.get("data").unwrap_or(model)
}

/// Checks the `data` of a command that has the documented shape; the error is the code of the first thing that the model does not allow.
pub(crate) fn check(model: &Value, wire: &str) -> Result<(), i64> {
    let model = data(model);
    let call: Value = serde_json::from_str(wire).map_err(|_| codes::DATA_NOT_JSON)?;
    for (code, value) in pairs(&call)? {
        if let Some(service) = entry(&model["services"], code) {
            let mut seen = Vec::new();
            for (name, value) in pairs(value).map_err(|_| codes::DATA_ILLEGAL)? {
                if seen.contains(&name) {
                    return Err(codes::DATA_ILLEGAL);
                }
                seen.push(name);
                fits(input(model, service, name)?, value)?;
            }
        } else {
            let property = entry(&model["properties"], code).ok_or(codes::UNIDENTIFIED)?;
            fits(property, value)?;
        }
    }
    Ok(())
}

/// The definition of a service's parameter, which may be a property.
fn input<'m>(model: &'m Value, service: &'m Value, name: &str) -> Result<&'m Value, i64> {
    let inputs = service["inputData"].as_array().into_iter().flatten();
    inputs
        .filter_map(|input| match input["$ref"].as_str() {
            Some(reference) => {
                let id = reference.rsplit('/').next()?;
                let mut properties = model["properties"].as_array()?.iter();
                properties.find(|property| plain(&property["id"]) == id)
            }
            None => Some(input),
        })
        .find(|input| input["code"] == name)
        .ok_or(codes::UNIDENTIFIED)
}

/// Whether a value is what its definition allows.
fn fits(definition: &Value, value: &Value) -> Result<(), i64> {
    if definition["subType"] == "R" {
        return Err(codes::READ_ONLY);
    }
    let specs = &definition["specs"];
    let size = |name: &str| plain(&specs[name]).parse::<usize>().unwrap_or(usize::MAX);
    match definition["dataType"].as_str().unwrap_or_default() {
        "STRUCT" => {
            for (code, value) in pairs(value).map_err(|_| codes::DATA_ILLEGAL)? {
                fits(entry(specs, code).ok_or(codes::UNIDENTIFIED)?, value)?;
            }
            Ok(())
        }
        "ARRAY" => {
            let elements = pairs(value).map_err(|_| codes::DATA_ILLEGAL)?;
            if elements.len() > size("size") {
                return Err(codes::ARRAY_LENGTH);
            }
            let inner = specs.get("numberSpecs").or(specs.get("specs"));
            let element = json!({"dataType": specs["dataType"], "specs": inner});
            for (id, value) in elements {
                if id != "0" {
                    return Err(codes::DATA_ILLEGAL);
                }
                fits(&element, value)?;
            }
            Ok(())
        }
        data_type => {
            let text = value.as_str().ok_or(codes::DATA_ILLEGAL)?;
            match data_type {
                "INT" if text.parse::<i128>().is_err() => Err(codes::UNMATCHED),
                "INT" | "FLOAT" | "DOUBLE" => {
                    let number: f64 = text.parse().map_err(|_| codes::UNMATCHED)?;
                    if number.is_finite() {
                        in_range(specs, number)
                    } else {
                        Err(codes::UNMATCHED)
                    }
                }
                "BOOL" if text == "true" || text == "false" => Ok(()),
                "BOOL" => Err(codes::UNMATCHED),
                "ENUM" => {
                    let mut members = specs.as_array().into_iter().flatten();
                    let is_member = members.any(|member| plain(&member["value"]) == text);
                    is_member.then_some(()).ok_or(codes::NO_MEMBER)
                }
                "TEXT" if text.chars().count() > size("length") => Err(codes::TOO_LONG),
                "RAW" if !text.len().is_multiple_of(2) => Err(codes::UNMATCHED),
                "RAW"
                    if u8::from_str_radix(text.get(..2).unwrap_or("0"), 16).is_err()
                        || text.chars().any(|digit| !digit.is_ascii_hexdigit()) =>
                {
                    Err(codes::UNMATCHED)
                }
                "RAW" if text.len() / 2 > size("length") => Err(codes::TOO_LONG),
                "DATE" if text.len() != size("length") || text.parse::<u64>().is_err() => {
                    Err(codes::NO_TIME)
                }
                _ => Ok(()),
            }
        }
    }
}

/// Whether a number is within its bounds and on a step from the least. Doubles are exact enough for what the tests ask.
fn in_range(specs: &Value, number: f64) -> Result<(), i64> {
    let bound = |name: &str| plain(&specs[name]).parse::<f64>().ok();
    let min = bound("min");
    let is_on_step = bound("step").filter(|step| *step > 0.0).is_none_or(|step| {
        let steps = (number - min.unwrap_or(0.0)) / step;
        (steps - steps.round()).abs() < 1e-6
    });
    let is_inside =
        min.is_none_or(|min| number >= min) && bound("max").is_none_or(|max| number <= max);
    (is_inside && is_on_step)
        .then_some(())
        .ok_or(codes::OUT_OF_RANGE)
}

/// The entry of a list that has this code.
fn entry<'m>(list: &'m Value, code: &str) -> Option<&'m Value> {
    list.as_array()?.iter().find(|entry| entry["code"] == code)
}

/// The members of objects that have one each.
fn pairs(list: &Value) -> Result<Vec<(&str, &Value)>, i64> {
    let items = list.as_array().ok_or(codes::DATA_SHAPE)?;
    let pair = |item: &'_ Value| -> Option<()> { (item.as_object()?.len() == 1).then_some(()) };
    if items.iter().any(|item| pair(item).is_none()) {
        return Err(codes::DATA_SHAPE);
    }
    Ok(items
        .iter()
        .filter_map(Value::as_object)
        .flatten()
        .map(|(code, value)| (code.as_str(), value))
        .collect())
}

/// A number or a string as text: the vendor's pages show both.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::served_model::MODEL, *};

    #[test]
    fn the_served_model_allows_what_it_says() {
        let model: Value = serde_json::from_str(MODEL).unwrap();
        let code = |data: &str| check(&model, data).err();
        for data in [
            r#"[{"setMode":[{"mode":"1"},{"target":"20.5"}]}]"#,
            r#"[{"setTone":[{"volume":"7"},{"repeat":"false"}]}]"#,
            r#"[{"volume":"7"},{"locale":"de"}]"#,
            r#"[{"reboot":[]}]"#,
        ] {
            assert_eq!(code(data), None, "{data}");
        }
        for (data, expected) in [
            (r#"[{"setmode":[]}]"#, 70094),
            (r#"[{"setMode":[{"mode":"9"}]}]"#, 70091),
            (r#"[{"setMode":[{"target":"20.3"}]}]"#, 70090),
            (r#"[{"setTone":[{"volume":"11"}]}]"#, 70090),
            (r#"[{"firmware":"1"}]"#, 71038),
            (r#"[{"reboot":[{"delay":"1"}]}]"#, 70094),
            (r#"[{"fuwu":[{"raw1":"XY"}]}]"#, 70083),
        ] {
            assert_eq!(code(data), Some(expected), "{data}");
        }
    }
}
