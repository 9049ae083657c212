//! What is pushed: manifests, and the requests that come of them for those who read none.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// The values that make three payloads of the manifest; neighbouring rows never share one.
const PAYLOADS: [&str; 3] = ["AA", "BB", "CC"];

/// The key of a device, counted from 1.
pub(crate) fn device_key(number: u64) -> String {
    format!("DK{number:08}")
}

/// Writes a CSV of so many devices, with three payloads and two labels.
pub(crate) fn write_manifest(path: &Path, devices: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "device_key,product_key,service,param.raw1,site,model")?;
    for number in 1..=devices {
        let payload = PAYLOADS[number as usize % PAYLOADS.len()];
        let (site, model) = (number % 200, number % 7);
        writeln!(
            file,
            "DK{number:08},PK0001,fuwu,{payload},site-{site:03},TH-{model}"
        )?;
    }
    file.flush()
}

/// Writes a CSV of so many devices of four products, with a dozen payloads and two labels: what is asked about the next morning.
pub(crate) fn write_varied_manifest(path: &Path, devices: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "device_key,product_key,service,param.raw1,site,model")?;
    for number in 1..=devices {
        let payload = PAYLOADS[number as usize % PAYLOADS.len()];
        let (product, site, model) = (number / 3 % 4, number % 200, number % 7);
        writeln!(
            file,
            "DK{number:08},PK000{product},fuwu,{payload},site-{site:03},TH-{model}"
        )?;
    }
    file.flush()
}

/// Writes every so many-th of the devices' keys, a key a line.
pub(crate) fn write_keys(path: &Path, devices: u64, step: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in (1..=devices).step_by(step as usize) {
        writeln!(file, "{}", device_key(number))?;
    }
    file.flush()
}

/// The bodies of the requests for so many devices, so many in each.
pub(crate) fn bodies(devices: u64, chunk_size: u64) -> impl Iterator<Item = String> {
    (1..=devices)
        .step_by(chunk_size as usize)
        .map(move |first| {
            let last = devices.min(first + chunk_size - 1);
            let keys: Vec<String> = (first..=last).map(device_key).collect();
            let payload = PAYLOADS[(first / chunk_size) as usize % PAYLOADS.len()];
            let data = format!(r#"[{{"fuwu":[{{"raw1":"{payload}"}}]}}]"#);
            serde_json::json!({ "productKey": "PK0001", "devices": keys, "data": data }).to_string()
        })
}
