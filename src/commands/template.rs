//! `fleetpush template`: the header of a manifest for one service, and a row that fits the thing model.

use std::io::{self, Write as _};

use anyhow::anyhow;
use serde_json::{Map, Value, json};

use super::{
    interrupt::Interrupt,
    thing_models::{self, Fetched},
};
use crate::{
    exit::{Exit, Failure},
    model::{ManifestFormat, Tsl},
    settings::{Template, did_you_mean},
    ui::{printer::Printer, text::clean},
};

/// What stands for the key of a device, and of a product that the export does not name.
const DEVICE_KEY: &str = "DEVICE1";
const PRODUCT_KEY: &str = "PRODUCT1";

/// Prints the template.
pub(super) async fn template(
    settings: &Template,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let (of_file, model) = match (&settings.tsl, &settings.fetch) {
        (Tsl::File { product_key, path }, _) => (product_key.as_deref(), thing_models::read(path)?),
        (Tsl::Fetch, from) => {
            let (Some(from), Some(product_key)) = (from, &settings.product_key) else {
                return Err(Failure::usage(anyhow!(
                    "--tsl fetch asks for the thing model of one product: name it with --product-key"
                )));
            };
            let fetched = Fetched::new(from, interrupt).await?;
            (None, fetched.model(product_key).await?)
        }
    };
    let service = &settings.service;
    let Some(params) = model.example(service) else {
        let services = model.services();
        return Err(Failure::usage(anyhow!(
            "the thing model has no service '{}'{}; its services are: {}",
            clean(service),
            did_you_mean(service, services.iter().copied()),
            services.join(", ")
        )));
    };
    let product_key = settings
        .product_key
        .as_deref()
        .or(of_file)
        .or(model.product_key())
        .unwrap_or(PRODUCT_KEY);
    let mut out = printer.stdout();
    let written = match settings.format {
        ManifestFormat::Csv => csv(&mut out, product_key, service, &params),
        ManifestFormat::Jsonl => {
            let params: Map<_, _> = params
                .into_iter()
                .map(|(code, value)| (code.to_owned(), value))
                .collect();
            let mut row = json!({
                "device_key": DEVICE_KEY,
                "product_key": product_key,
                "service": service,
            });
            if !params.is_empty() {
                row["params"] = params.into();
            }
            writeln!(out, "{row}")
        }
    };
    Exit::Complete.after_output(written.and_then(|()| out.flush()))
}

fn csv(
    out: &mut impl io::Write,
    product_key: &str,
    service: &str,
    params: &[(&str, Value)],
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let codes = params.iter().map(|(code, _)| format!("param.{code}"));
    let names = ["device_key", "product_key", "service"].map(str::to_owned);
    writer.write_record(names.into_iter().chain(codes))?;
    let values = params.iter().map(|(_, value)| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    });
    let keys = [DEVICE_KEY, product_key, service].map(str::to_owned);
    writer.write_record(keys.into_iter().chain(values))?;
    writer.flush()
}
