//! Where thing models come from: `--tsl`.

use std::{path::PathBuf, str::FromStr};

use super::OptionError;

/// Where the thing model of a product comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tsl {
    /// The platform is asked for the model of each product.
    Fetch,
    /// A file that holds the platform's export.
    File {
        /// The product that it is for; without it the product that the export names, or every product.
        product_key: Option<String>,
        /// The file.
        path: PathBuf,
    },
}

impl FromStr for Tsl {
    type Err = OptionError;

    /// Reads `fetch`, `FILE` or `PRODUCT=FILE`. A file with an equals sign in its name, or called fetch, is given as `./FILE`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "fetch" {
            return Ok(Self::Fetch);
        }
        let (product_key, path) = match text.split_once('=') {
            Some((product, path)) if !product.contains(['/', '.']) => (Some(product.trim()), path),
            _ => (None, text),
        };
        if path.trim().is_empty() || product_key.is_some_and(str::is_empty) {
            return Err(OptionError(format!(
                "{text:?} has no file: write FILE, PRODUCT=FILE or fetch"
            )));
        }
        Ok(Self::File {
            product_key: product_key.map(Into::into),
            path: path.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_of_one_product() {
        let of = |product_key: Option<&str>, path: &str| {
            Some(Tsl::File {
                product_key: product_key.map(Into::into),
                path: path.into(),
            })
        };
        for (text, expected) in [
            ("fetch", Some(Tsl::Fetch)),
            ("./fetch", of(None, "./fetch")),
            ("m.json", of(None, "m.json")),
            ("PK1=m.json", of(Some("PK1"), "m.json")),
            ("PK1=a=b.json", of(Some("PK1"), "a=b.json")),
            ("./a=b.json", of(None, "./a=b.json")),
            ("", None),
            (" ", None),
            ("PK1=", None),
            ("=m.json", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
    }
}
