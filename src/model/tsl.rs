//! Where thing models come from: `--tsl`.

use std::{path::PathBuf, str::FromStr};

use super::OptionError;

/// A file that holds the platform's export of a thing model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TslFile {
    /// The product that it is for; without it the product that the export names, or every product.
    pub product_key: Option<String>,
    /// The file.
    pub path: PathBuf,
}

impl FromStr for TslFile {
    type Err = OptionError;

    /// Reads `FILE` or `PRODUCT=FILE`. A file with an equals sign in its name is given as `./FILE`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (product_key, path) = match text.split_once('=') {
            Some((product, path)) if !product.contains(['/', '.']) => (Some(product.trim()), path),
            _ => (None, text),
        };
        if path.trim().is_empty() || product_key.is_some_and(str::is_empty) {
            return Err(OptionError(format!(
                "{text:?} names no file: write FILE or PRODUCT=FILE"
            )));
        }
        Ok(Self {
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
        let read = |text: &str| {
            let file: TslFile = text.parse().ok()?;
            Some((file.product_key, file.path.display().to_string()))
        };
        let of = |product: &str, path: &str| Some((Some(product.to_owned()), path.to_owned()));
        assert_eq!(read("m.json"), Some((None, "m.json".to_owned())));
        assert_eq!(read("PK1=m.json"), of("PK1", "m.json"));
        assert_eq!(read("PK1=a=b.json"), of("PK1", "a=b.json"));
        assert_eq!(read("./a=b.json"), Some((None, "./a=b.json".to_owned())));
        for wrong in ["", " ", "PK1=", "=m.json"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
