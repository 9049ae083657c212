//! The cause behind an error of the HTTP client: the one that helps the user, or the text of them all.

use std::{error::Error, fmt::Write, fs::File, io};

use rustix::io::Errno;

use crate::gateway::{BaseUrl, Proxy};

/// Every error that stands behind this one, without the error itself.
fn sources<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An `io::Error` gives its content's source as its own, which passes over the content.
        let content = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match content {
            Some(content) => Some(content as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
    .skip(1)
}

/// The text of an error's causes. What reqwest and hyper-util put on top says nothing, and may show the URL.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    for source in sources(error) {
        let part = source.to_string();
        let is_frame = source.is::<reqwest::Error>() || part.starts_with("client error (");
        if !is_frame && !text.contains(&part) {
            let separator = if text.is_empty() { "" } else { ": " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}{part}");
        }
    }
    if text.is_empty() {
        text.push_str("the connection failed");
    }
    text
}

/// What is wrong with the other side's certificate, and what helps against it.
pub(super) struct CertificateFault {
    what: String,
    help: &'static str,
}

impl CertificateFault {
    pub(super) fn told_of(&self, base_url: &BaseUrl, proxy: Option<&Proxy>) -> String {
        let Self { what, help } = self;
        // Some proxies open every connection, and show certificates of their own.
        let through = proxy.map_or(String::new(), |proxy| format!(" through {proxy}"));
        format!("the certificate of {base_url}{through} is not trusted ({what}): {help}")
    }
}

/// What is wrong with the other side's certificate, when that is the cause.
pub(super) fn certificate_fault(error: &reqwest::Error) -> Option<CertificateFault> {
    use rustls::CertificateError as Fault;

    sources(error).find_map(|source| {
        let (what, help) = match source.downcast_ref()? {
            rustls::Error::InvalidCertificate(fault) => (
                fault.to_string(),
                match fault {
                    Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
                        "it is for another name: check the region or base URL, and which server answers there"
                    }
                    Fault::Expired
                    | Fault::ExpiredContext { .. }
                    | Fault::NotValidYet
                    | Fault::NotValidYetContext { .. } => {
                        "check this machine's clock; if that is right, the certificate has to be renewed"
                    }
                    _ => "put its issuer into the system's trust store",
                },
            ),
            rustls::Error::NoCertificatesPresented => {
                ("it presented none".to_owned(), "check the region or base URL")
            }
            _ => return None,
        };
        Some(CertificateFault { what, help })
    })
}

/// How hyper-util puts it when a proxy asks for credentials, and when it opens no tunnel.
pub(super) const PROXY_WANTS_CREDENTIALS: &str = "tunnel error: proxy authorization required";
pub(super) const PROXY_REFUSES: &str = "tunnel error: unsuccessful";

/// How the standard library begins what it says of a name that it cannot look up.
const LOOKUP: &str = "failed to lookup address information";

/// What this machine lacks, when that is the cause.
pub(super) fn lacking(error: &(dyn Error + 'static)) -> Option<&'static str> {
    lacking_with(error, open_another)
}

/// A name that cannot be looked up because no file can be opened for it is told as "temporary failure", without a number.
fn lacking_with(
    error: &(dyn Error + 'static),
    open_another: impl Fn() -> io::Result<()>,
) -> Option<&'static str> {
    let number = sources(error)
        .find_map(|source| source.downcast_ref::<io::Error>()?.raw_os_error())
        .or_else(|| {
            let of_lookup = sources(error).any(|source| source.to_string().starts_with(LOOKUP));
            of_lookup.then(|| open_another().err()?.raw_os_error())?
        })?;
    Some(match Errno::from_raw_os_error(number) {
        Errno::MFILE => {
            "this process cannot open more files: raise its limit (ulimit -n), or lower --concurrency"
        }
        Errno::NFILE => "this machine cannot open more files: find out what else uses them",
        Errno::ADDRNOTAVAIL => {
            "this machine has no port left for another connection: lower --concurrency, or find out what else uses them"
        }
        Errno::NOMEM | Errno::NOBUFS => "this machine has no memory left for another connection",
        _ => return None,
    })
}

/// Whether what a lookup opens at a time can be opened now.
fn open_another() -> io::Result<()> {
    const AT_A_TIME: usize = 2;
    let open = || File::open("/dev/null");
    let opened: Vec<File> = std::iter::repeat_with(open)
        .take(AT_A_TIME)
        .collect::<io::Result<_>>()?;
    drop(opened);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("connect")]
    struct Connect(#[source] io::Error);

    #[test]
    fn what_this_machine_lacks_is_told_as_its_own() {
        let told = |number: Errno| {
            // As deep as the client's errors are, and an error in an error.
            let cause = io::Error::from_raw_os_error(number.raw_os_error());
            let error = Connect(io::Error::other(Connect(cause)));
            lacking(&error)
        };
        for (number, word) in [
            (Errno::MFILE, "ulimit"),
            (Errno::NFILE, "machine"),
            (Errno::ADDRNOTAVAIL, "port"),
            (Errno::NOMEM, "memory"),
            (Errno::NOBUFS, "memory"),
        ] {
            assert!(told(number).unwrap().contains(word), "{number:?}");
        }
        assert_eq!(told(Errno::CONNREFUSED), None);
    }

    #[test]
    fn a_lookup_that_had_no_file_is_no_fault_of_the_name() {
        let failed = |words: &str| Connect(io::Error::other(Connect(io::Error::other(words))));
        let lookup = failed("failed to lookup address information: Temporary failure");
        let no_file = || Err(io::Error::from_raw_os_error(Errno::MFILE.raw_os_error()));
        assert!(lacking_with(&lookup, no_file).unwrap().contains("ulimit"));
        assert_eq!(lacking_with(&lookup, || Ok(())), None);
        assert_eq!(lacking_with(&failed("reset"), no_file), None);
        assert!(open_another().is_ok());
    }
}
