//! From a row's cells and the run-wide defaults to a payload.

use std::borrow::Cow;

use crate::{
    model::Payload,
    thing_model::{Models, Violation},
};

use super::{
    Defaults, ManifestError, cell,
    column::Field,
    defaults::flag,
    draft::{CellError, CellErrors, Draft},
    json,
    wire::{Command, Value},
};

/// Makes payloads of drafts.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    defaults: Defaults,
    /// The `data` of a row that has none of its own, and names no service.
    data: Option<Box<str>>,
    /// What payloads have to fit, besides having a wire form.
    models: Option<Models>,
}

impl Encoder {
    /// An encoder with these defaults, which are checked here once for all rows.
    pub(super) fn new(defaults: Defaults) -> Result<Self, ManifestError> {
        defaults.check()?;
        // Encoding them now shows values without a wire form before any row is read, also when every row brings its own service.
        let service = defaults.service.as_deref();
        let mut command = Command::new(service.unwrap_or_default());
        for (code, text) in &defaults.params {
            let value = parameter_text(text)
                .map_err(|reason| flag("--param", format!("`{code}` {reason}")))?;
            command
                .param(code, &value)
                .map_err(|unfit| flag("--param", unfit.describe(code)))?;
        }
        let data = match &defaults.data {
            Some(data) => Some(data.as_str().into()),
            None => service.map(|_| command.finish()),
        };
        Ok(Self {
            defaults,
            data,
            models: None,
        })
    }

    /// Checks each payload against the thing model of its product.
    pub(super) fn set_models(&mut self, models: Models) {
        self.models = Some(models);
    }

    /// What payloads have to fit, if anything.
    pub(super) fn models(&self) -> Option<&Models> {
        self.models.as_ref()
    }

    /// What a row asks for; nothing when anything is wrong with it, which is then among `errors`.
    pub(super) fn payload(&self, draft: &Draft<'_>, errors: &mut CellErrors) -> Option<Payload> {
        let product_key = errors.keep(self.product_key(draft));
        let data = self.data(draft, errors);
        if let (Some(models), Some(product_key), Some(data)) = (&self.models, &product_key, &data) {
            for violation in models.check(product_key, data) {
                errors.push(misfit(draft, violation));
            }
        }
        let qos = errors.keep(draft.parsed(Field::Qos, cell::qos));
        let is_cache = errors.keep(draft.parsed(Field::IsCache, cell::flag));
        let cache_time = errors.keep(draft.parsed(Field::CacheTime, cell::seconds));
        let is_cover = errors.keep(draft.parsed(Field::IsCover, cell::flag));
        let extend_para = errors.keep(extend_para(draft));
        // A row that switches the cache off does not want the default's time for it either.
        let default_time = self
            .defaults
            .cache_time
            .filter(|_| is_cache != Some(Some(false)));
        errors.unless_any(Some(Payload {
            product_key: product_key?,
            data: data?,
            qos: qos?.or(self.defaults.qos),
            is_cache: is_cache?.or(default_time.map(|_| true)),
            cache_time: cache_time?.or(default_time),
            is_cover: is_cover?.or(self.defaults.cover.then_some(true)),
            extend_para: extend_para?,
        }))
    }

    fn product_key(&self, draft: &Draft<'_>) -> Result<Box<str>, CellError> {
        let own = draft.parsed(Field::ProductKey, |key| {
            cell::check_key(key).map(|()| key.into())
        })?;
        match (own, &self.defaults.product_key) {
            (Some(key), _) => Ok(key),
            (None, Some(key)) => Ok(key.as_str().into()),
            (None, None) => Err(CellError::of(
                Field::ProductKey,
                "the row has no product key: fill the column `product_key` or give `--product-key`",
            )),
        }
    }

    fn data(&self, draft: &Draft<'_>, errors: &mut CellErrors) -> Option<Box<str>> {
        let service = errors.keep(draft.text(Field::Service))?;
        match (draft.get(Field::Data), service, draft.params.is_empty()) {
            (None, None, true) => errors.keep(self.data.clone().ok_or_else(|| {
                CellError::of_row(
                    "the row has neither `data` nor `service`: fill one of them or give `--service` or `--data`",
                )
            })),
            (Some(data), None, true) => errors.keep(own_data(data)),
            (Some(_), _, _) => {
                errors.push(CellError::of(
                    Field::Data,
                    "`data` excludes `service` and its parameters: leave one of them empty",
                ));
                None
            }
            (None, service, _) => self.command(service, draft, errors),
        }
    }

    /// The wire string of a row that names a service, parameters or both.
    fn command(
        &self,
        service: Option<&str>,
        draft: &Draft<'_>,
        errors: &mut CellErrors,
    ) -> Option<Box<str>> {
        let default = self.defaults.service.as_deref();
        let service = errors.keep(service.or(default).ok_or_else(|| {
            CellError::of(
                Field::Service,
                "the row has parameters and no service: fill the column `service` or give `--service`",
            )
        }))?;
        errors.keep(
            cell::check_code(service).map_err(|reason| CellError::of(Field::Service, reason)),
        );
        let defaults: &[_] = if default.is_none_or(|default| default == service) {
            &self.defaults.params
        } else {
            &[]
        };
        let mut command = Command::new(service);
        let mut add = |code: &str, value: Result<&Value<'_>, CellError>| {
            let added = value.and_then(|value| {
                cell::check_code(code).map_err(|reason| CellError::of_param(code, reason))?;
                command
                    .param(code, value)
                    .map_err(|unfit| CellError::of_param(code, unfit.describe(code)))
            });
            errors.keep(added);
        };
        for (code, text) in defaults {
            if let Some(own) = draft.param(code) {
                add(code, Ok(own));
            } else {
                let value =
                    parameter_text(text).map_err(|reason| CellError::of_param(code, reason));
                add(code, value.as_ref().map_err(Clone::clone));
            }
        }
        for (code, value) in &draft.params {
            if !defaults.iter().any(|(default, _)| default == code) {
                add(code, Ok(value));
            }
        }
        Some(command.finish())
    }
}

/// A parameter written as text, in a CSV cell or a flag: what begins with `[` or `{` is JSON, anything else is a scalar.
pub(super) fn parameter_text(text: &str) -> Result<Value<'_>, String> {
    if text.starts_with(['[', '{']) {
        json::parse(text).map(Value::Json).map_err(|error| {
            format!(
                "begins like JSON and is not JSON: {}; to send exactly this text, use `data`",
                json::describe(&error)
            )
        })
    } else {
        Ok(Value::Text(Cow::Borrowed(text)))
    }
}

/// What does not fit the thing model, at the cell that it came from; at none when it came from a flag.
fn misfit(draft: &Draft<'_>, violation: Violation) -> CellError {
    let text = violation.to_string();
    if draft.get(Field::Data).is_some() {
        return CellError::of(Field::Data, text);
    }
    match violation.param {
        Some(code) if draft.param(&code).is_some() => CellError::of_param(&code, text),
        Some(code) => CellError::of_row(format!("--param {code}: {text}")),
        None if draft.get(Field::Service).is_some() => CellError::of(Field::Service, text),
        None => CellError::of_row(text),
    }
}

fn own_data(data: &Value<'_>) -> Result<Box<str>, CellError> {
    match data {
        Value::Text(text) => {
            cell::wire_string(text).map_err(|reason| CellError::of(Field::Data, reason))
        }
        Value::Json(raw) => Ok(json::compact(raw.get()).into()),
    }
}

fn extend_para(draft: &Draft<'_>) -> Result<Option<Box<str>>, CellError> {
    draft
        .get(Field::ExtendPara)
        .map(|value| {
            let text = match value {
                Value::Text(text) => text,
                Value::Json(raw) => raw.get(),
            };
            cell::object(text).map_err(|reason| CellError::of(Field::ExtendPara, reason))
        })
        .transpose()
}

#[cfg(test)]
mod tests;
