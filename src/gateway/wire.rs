//! What is sent: paths, the request body, and the language of the platform's messages.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Outgoing;
use crate::model::Payload;

/// The path of the one call that the product exists for (specification, "API Address").
pub(super) const SEND_PATH: &str = "/v2/deviceshadow/r3/openapi/dm/sendServiceData";
/// The path of the login; the vendor spells it so (platform notes, "Authentication").
pub(super) const LOGIN_PATH: &str = "/v2/quecauth/accessKeyAuthrize/accessKeyLogin";
/// The path of the token refresh (platform notes, "Authentication").
pub(super) const REFRESH_PATH: &str = "/v2/quecauth/accessKeyAuthrize/refreshToken";

/// The body of a `sendServiceData` request, in the field order of the specification's example. Absent fields are omitted, never null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    is_cache: Option<bool>,
    data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<i32>,
    #[serde(serialize_with = "texts")]
    devices: &'a [Arc<str>],
    product_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_cover: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extend_para: Option<&'a RawValue>,
}

fn texts<S: Serializer>(texts: &[Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| &**text))
}

/// Encodes a request's body. Fails only when `extendPara` is not JSON, which the manifest does not let through.
pub(super) fn encode(request: &Outgoing) -> Result<Vec<u8>, serde_json::Error> {
    let payload = &*request.payload;
    let body = Body {
        is_cache: payload.is_cache,
        data: &payload.data,
        qos: payload.qos,
        devices: &request.devices,
        product_key: &payload.product_key,
        is_cover: payload.is_cover,
        cache_time: payload.cache_time,
        extend_para: payload
            .extend_para
            .as_deref()
            .map(serde_json::from_str)
            .transpose()?,
    };
    let devices: usize = request.devices.iter().map(|device| device.len() + 3).sum();
    let mut buffer = Vec::with_capacity(256 + devices + payload.data.len() * 5 / 4);
    serde_json::to_writer(&mut buffer, &body)?;
    Ok(buffer)
}

/// The body of a request with this payload for one device: an example of what goes out.
pub(crate) fn example(payload: Arc<Payload>, device_key: &str) -> Option<String> {
    let request = Outgoing {
        payload,
        devices: vec![device_key.into()],
        suspect: false,
        not_after: None,
    };
    String::from_utf8(encode(&request).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Payload;

    fn outgoing(payload: Payload, devices: &[&str]) -> Outgoing {
        Outgoing {
            suspect: false,
            payload: Arc::new(payload),
            devices: devices.iter().map(|&device| device.into()).collect(),
            not_after: None,
        }
    }

    fn bare() -> Payload {
        Payload::plain("PK0001", r#"[{"fuwu":[{"raw1":"AA"}]}]"#)
    }

    fn text(request: &Outgoing) -> String {
        String::from_utf8(encode(request).unwrap()).unwrap()
    }

    #[test]
    fn the_specifications_example_comes_out() {
        let payload = Payload {
            qos: Some(1),
            is_cache: Some(true),
            cache_time: Some(360),
            is_cover: Some(true),
            ..bare()
        };
        assert_eq!(
            text(&outgoing(payload, &["DK00001"])),
            r#"{"isCache":true,"data":"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]","qos":1,"devices":["DK00001"],"productKey":"PK0001","isCover":true,"cacheTime":360}"#
        );
    }

    #[test]
    fn absent_fields_are_omitted() {
        assert_eq!(
            text(&outgoing(bare(), &["007", "A\"B"])),
            r#"{"data":"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]","devices":["007","A\"B"],"productKey":"PK0001"}"#
        );
    }

    #[test]
    fn false_and_nought_are_not_absent() {
        let payload = Payload {
            qos: Some(0),
            is_cache: Some(false),
            cache_time: Some(0),
            is_cover: Some(false),
            ..bare()
        };
        let text = text(&outgoing(payload, &["D"]));
        for field in [
            r#""isCache":false"#,
            r#""qos":0"#,
            r#""isCover":false"#,
            r#""cacheTime":0"#,
        ] {
            assert!(text.contains(field), "{field} in {text}");
        }
    }

    #[test]
    fn extend_para_goes_out_as_the_object_it_was_written_as() {
        let written = r#"{"z":1.10,"a":{"big":12345678901234567890}}"#;
        let payload = Payload {
            extend_para: Some(written.into()),
            ..bare()
        };
        let sent = text(&outgoing(payload, &["D"]));
        assert!(
            sent.ends_with(&format!(r#","extendPara":{written}}}"#)),
            "{sent}"
        );
    }

    #[test]
    fn a_broken_extend_para_is_not_sent() {
        let payload = Payload {
            extend_para: Some("{\"a\":".into()),
            ..bare()
        };
        assert!(encode(&outgoing(payload, &["D"])).is_err());
    }
}
