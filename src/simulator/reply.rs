//! A reply before it is put on the wire, and the ways in which its body can travel.

use std::{
    convert::Infallible,
    io::Write as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{self, HeaderName, HeaderValue},
};
use serde::Serialize;
use tokio::time::Sleep;

/// A reply: everything that HTTP is to carry.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Reply {
    /// HTTP 200 and this JSON.
    pub(super) fn json(body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(text) => Self::json_text(text),
            Err(error) => Self::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain",
                format!("the simulator failed: {error}"),
            ),
        }
    }

    /// HTTP 200 and this text, which is JSON.
    pub(super) fn json_text(text: Vec<u8>) -> Self {
        Self::text(StatusCode::OK, "application/json", text)
    }

    /// A page such as proxies make.
    pub(super) fn html(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("Error");
        let code = status.as_u16();
        let page = format!(
            "<html>\r\n<head><title>{code} {reason}</title></head>\r\n<body>\r\n<center><h1>{code} {reason}</h1></center>\r\n\
             <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::text(status, "text/html", page)
    }

    pub(super) fn text(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// With a header more; a value that is no header value leaves it out.
    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Compressed.
    #[must_use]
    pub(super) fn gzipped(mut self) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory does not fail.
        if encoder.write_all(&self.body).is_ok()
            && let Ok(compressed) = encoder.finish()
        {
            self.body = compressed.into();
            return self.with(header::CONTENT_ENCODING, "gzip");
        }
        self
    }

    /// As HTTP, with the body travelling as told.
    pub(super) fn into_response(
        self,
        travel: impl FnOnce(Bytes) -> ReplyBody,
    ) -> Response<ReplyBody> {
        let mut response = Response::new(travel(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        headers.extend(self.headers);
        response
    }
}

/// A body on its way.
pub(super) enum ReplyBody {
    /// All at once, its length announced.
    Whole(Bytes),
    /// In pieces with a pause before each, its length announced.
    Trickle {
        rest: Bytes,
        piece: usize,
        pause: Duration,
        sleep: Pin<Box<Sleep>>,
    },
    /// Followed by so many blanks, no length announced.
    Padded { text: Bytes, blanks: u64 },
}

/// In how many pieces a reply trickles.
const PIECES: u32 = 20;
static BLANKS: [u8; 65_536] = [b' '; 65_536];

impl ReplyBody {
    /// Spread evenly over this time.
    pub(super) fn trickle(rest: Bytes, over: Duration) -> Self {
        let pause = over / PIECES;
        Self::Trickle {
            piece: rest.len().div_ceil(PIECES as usize),
            rest,
            pause,
            sleep: Box::pin(tokio::time::sleep(pause)),
        }
    }

    /// Padded to this size in bytes.
    pub(super) fn padded(text: Bytes, size: u64) -> Self {
        Self::Padded {
            blanks: size.saturating_sub(text.len() as u64),
            text,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut *self {
            Self::Trickle { rest, .. } if rest.is_empty() => return Poll::Ready(None),
            Self::Trickle {
                rest,
                piece,
                pause,
                sleep,
            } => {
                ready!(sleep.as_mut().poll(cx));
                sleep.as_mut().reset(tokio::time::Instant::now() + *pause);
                rest.split_to((*piece).min(rest.len()))
            }
            Self::Padded { text, blanks } if text.is_empty() => {
                let length = (*blanks).min(BLANKS.len() as u64);
                *blanks -= length;
                Bytes::from_static(&BLANKS[..length as usize])
            }
            Self::Whole(text) | Self::Padded { text, .. } => std::mem::take(text),
        };
        Poll::Ready((!frame.is_empty()).then(|| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(text) if text.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => SizeHint::with_exact(text.len() as u64),
            Self::Trickle { rest, .. } => SizeHint::with_exact(rest.len() as u64),
            Self::Padded { .. } => SizeHint::default(),
        }
    }
}
