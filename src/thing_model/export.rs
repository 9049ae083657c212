//! The platform's export becomes a model (page "Query Latest Product Thing Model (JSON Format)").
//!
//! The file may be the whole reply, `{"code":200,"data":{…}}`, or its `data` alone. Numbers are taken as numbers and as strings, since the
//! vendor's pages show both.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Element, Service, ThingModel,
    kind::{Kind, Member, Range, decimal},
};

/// Why a text is no thing model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// Not JSON.
    #[error("is not JSON: {0}; give the reply of the platform's export of the thing model")]
    NotJson(#[from] serde_json::Error),
    /// The platform's reply, and not a good one.
    #[error("holds the platform's code {code} ({message}) and no thing model; export it again")]
    Refused {
        /// `code`.
        code: String,
        /// `msg`.
        message: String,
    },
    /// JSON of something else.
    #[error(
        "has no `services`; give the reply of the platform's export of the thing model, or its `data`"
    )]
    NoServices,
}

pub(crate) fn read(text: &str) -> Result<ThingModel, ExportError> {
    let whole: Value = serde_json::from_str(text)?;
    let data = match (whole.get("data"), text_of(whole.get("code"))) {
        (_, Some(code)) if code != "200" && whole.get("services").is_none() => {
            return Err(ExportError::Refused {
                code,
                message: text_of(whole.get("msg")).unwrap_or_else(|| "no message".to_owned()),
            });
        }
        (Some(data), _) => data,
        (None, _) => &whole,
    };
    // A list with nothing in it may be absent: a product without services has at least its other lists.
    if ["services", "properties", "events", "profile"]
        .iter()
        .all(|name| data.get(name).is_none())
    {
        return Err(ExportError::NoServices);
    }
    let mut reader = Reader::default();
    let properties = reader.properties(data);
    let mut services = HashMap::new();
    for entry in list(data, "services") {
        if let Some(code) = code_of(entry) {
            let service = reader.service(&code, entry, &properties);
            services.insert(code, service);
        } else {
            reader.remark("a service has no `code`");
        }
    }
    let profile = data.get("profile");
    Ok(ThingModel {
        product_key: profile
            .and_then(|profile| text_of(profile.get("productKey")))
            .map(Into::into),
        services,
        properties: properties
            .into_values()
            .map(|property| (property.code.clone(), property))
            .collect(),
        remarks: reader.remarks,
    })
}

#[derive(Default)]
struct Reader {
    remarks: Vec<String>,
}

impl Reader {
    fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// The properties by their ids, which parameters refer to.
    fn properties(&mut self, data: &Value) -> HashMap<String, Element> {
        let mut properties = HashMap::new();
        for entry in list(data, "properties") {
            let (Some(code), Some(id)) = (code_of(entry), text_of(entry.get("id"))) else {
                self.remark("a property has no `code` or no `id`");
                continue;
            };
            let property = Element {
                kind: self.kind(&format!("the property `{code}`"), entry),
                is_read_only: text_of(entry.get("subType")).as_deref() == Some("R"),
                id: Some(id.as_str().into()),
                code,
            };
            properties.insert(id, property);
        }
        properties
    }

    fn service(
        &mut self,
        code: &str,
        entry: &Value,
        properties: &HashMap<String, Element>,
    ) -> Service {
        let mut service = Service {
            id: id_of(entry),
            inputs: Vec::new(),
            is_open: false,
        };
        for input in list(entry, "inputData") {
            match self.input(code, input, properties) {
                Some(input) => service.inputs.push(input),
                None => service.is_open = true,
            }
        }
        service
    }

    /// A parameter of a service: its definition, or the property that it refers to.
    fn input(
        &mut self,
        service: &str,
        entry: &Value,
        properties: &HashMap<String, Element>,
    ) -> Option<Element> {
        if let Some(reference) = text_of(entry.get("$ref")) {
            let property = reference
                .strip_prefix("#/properties/id/")
                .and_then(|id| properties.get(id));
            if property.is_none() {
                self.remark(format!(
                    "a parameter of `{service}` is `{reference}`, which is not in the model; parameters of that service are not checked by name"
                ));
            }
            return property.cloned();
        }
        let Some(code) = code_of(entry) else {
            self.remark(format!(
                "a parameter of `{service}` has no `code`; parameters of that service are not checked by name"
            ));
            return None;
        };
        Some(Element {
            kind: self.kind(&format!("`{service}.{code}`"), entry),
            is_read_only: false,
            id: id_of(entry),
            code,
        })
    }

    /// The type of an element; `name` is for remarks.
    fn kind(&mut self, name: &str, entry: &Value) -> Kind {
        let specs = entry.get("specs").unwrap_or(&Value::Null);
        let data_type = text_of(entry.get("dataType")).unwrap_or_default();
        match data_type.to_ascii_uppercase().as_str() {
            "INT" => self.number(name, specs, true),
            "FLOAT" | "DOUBLE" => self.number(name, specs, false),
            "BOOL" => Kind::Bool,
            "ENUM" => self.members(name, specs),
            "TEXT" => Kind::Text(self.count(name, specs, "length")),
            "RAW" => Kind::Raw(self.count(name, specs, "length")),
            "DATE" => Kind::Date(self.count(name, specs, "length").unwrap_or(13)),
            "STRUCT" => self.structure(name, specs),
            "ARRAY" => self.array(name, specs),
            _ => {
                self.remark(format!(
                    "{name} has the type '{data_type}', which fleetpush does not know; it is not checked"
                ));
                Kind::Unknown
            }
        }
    }

    fn number(&mut self, name: &str, specs: &Value, is_whole: bool) -> Kind {
        Kind::Number(Range {
            is_whole,
            min: self.bound(name, specs, "min"),
            max: self.bound(name, specs, "max"),
            step: self.bound(name, specs, "step"),
        })
    }

    fn bound(&mut self, name: &str, specs: &Value, bound: &str) -> Option<rust_decimal::Decimal> {
        let text = text_of(specs.get(bound)).filter(|text| !text.is_empty())?;
        let number = decimal(&text);
        if number.is_none() {
            self.remark(format!(
                "{name} has the {bound} '{text}', which is not a number; it is not checked"
            ));
        }
        number
    }

    fn count(&mut self, name: &str, specs: &Value, bound: &str) -> Option<usize> {
        let text = text_of(specs.get(bound)).filter(|text| !text.is_empty())?;
        let count = text.parse().ok();
        if count.is_none() {
            self.remark(format!(
                "{name} has the {bound} '{text}', which is not a count; it is not checked"
            ));
        }
        count
    }

    fn members(&mut self, name: &str, specs: &Value) -> Kind {
        let members: Option<Vec<_>> = specs.as_array().and_then(|specs| {
            specs
                .iter()
                .map(|member| {
                    Some(Member {
                        value: text_of(member.get("value"))?.into(),
                        name: text_of(member.get("name")).unwrap_or_default().into(),
                    })
                })
                .collect()
        });
        if let Some(members) = members.filter(|members| !members.is_empty()) {
            return Kind::Enum(members);
        }
        self.remark(format!(
            "{name} is an ENUM without members; it is not checked"
        ));
        Kind::Unknown
    }

    fn structure(&mut self, name: &str, specs: &Value) -> Kind {
        let Some(specs) = specs.as_array() else {
            self.remark(format!(
                "{name} is a STRUCT without members; it is not checked"
            ));
            return Kind::Unknown;
        };
        let mut members = Vec::with_capacity(specs.len());
        for member in specs {
            let Some(code) = code_of(member) else {
                self.remark(format!(
                    "a member of {name} has no `code`; the struct is not checked"
                ));
                return Kind::Unknown;
            };
            members.push(Element {
                kind: self.kind(&format!("{name}.{code}"), member),
                is_read_only: false,
                id: id_of(member),
                code,
            });
        }
        Kind::Struct(members)
    }

    fn array(&mut self, name: &str, specs: &Value) -> Kind {
        let mut element = serde_json::Map::new();
        element.insert(
            "dataType".to_owned(),
            specs.get("dataType").cloned().unwrap_or_default(),
        );
        if let Some(inner) = ["numberSpecs", "specs"]
            .iter()
            .find_map(|key| specs.get(key))
        {
            element.insert("specs".to_owned(), inner.clone());
        }
        let kind = self.kind(&format!("an element of {name}"), &Value::Object(element));
        Kind::Array(self.count(name, specs, "size"), Box::new(kind))
    }
}

/// The entries of a list that may be absent.
fn list<'a>(data: &'a Value, name: &str) -> &'a [Value] {
    data.get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn code_of(entry: &Value) -> Option<Box<str>> {
    text_of(entry.get("code"))
        .filter(|code| !code.is_empty())
        .map(Into::into)
}

/// An id is a number, and compared as text.
fn id_of(entry: &Value) -> Option<Box<str>> {
    text_of(entry.get("id")).map(Into::into)
}

/// The text of a string or a number.
pub(super) fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
