//! Decompression: what the usual tools read is read, and what is damaged, cut or followed by something else is told apart.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::FileErrorKind;

/// Reads gzip members, one after the other, and the zeros with which tapes and block devices fill up the last block.
pub(super) struct Gunzip<R> {
    /// Nothing after the last member.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            member: Some(GzDecoder::new(input)),
        }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(buffer).map_err(|error| told("gzip", error))?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let Some(member) = self.member.take() else {
                break;
            };
            let mut input = member.into_inner();
            if another_member(&mut input)? {
                self.member = Some(GzDecoder::new(input));
            }
        }
        Ok(0)
    }
}

/// Whether another member follows; passes over zeros up to the end.
fn another_member(input: &mut impl BufRead) -> io::Result<bool> {
    let mut padded = false;
    loop {
        match input.fill_buf()? {
            [] => return Ok(false),
            [0x1f, ..] if !padded => return Ok(true),
            bytes => {
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                if zeros < bytes.len() {
                    return Err(io::Error::other(FileErrorKind::Trailing("gzip")));
                }
                padded = true;
                input.consume(zeros);
            }
        }
    }
}

/// The largest window that is read without a look at how much comes out, as a power of two: what every `zstd` reads unasked.
const USUAL_WINDOW: u32 = 27;
/// The largest window of the format that the library knows.
const LARGEST_WINDOW: u32 = 31;

/// Reads zstd frames. A frame with a long window takes memory for what comes out of it, so that only little of it is read.
pub(super) struct Unzstd<R: BufRead> {
    decoder: zstd::Decoder<'static, R>,
    /// How much may still come out.
    room: Option<u64>,
}

impl<R: BufRead> Unzstd<R> {
    pub(super) fn new(mut input: R) -> io::Result<Self> {
        let long = window_log(input.fill_buf()?).is_some_and(|log| log > USUAL_WINDOW);
        let mut decoder = zstd::Decoder::with_buffer(input)?;
        if long {
            decoder.window_log_max(LARGEST_WINDOW)?;
        }
        Ok(Self {
            decoder,
            room: long.then_some(1 << USUAL_WINDOW),
        })
    }
}

impl<R: BufRead> Read for Unzstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self
            .decoder
            .read(buffer)
            .map_err(|error| told("zstd", error))?;
        if let Some(room) = &mut self.room {
            *room = room
                .checked_sub(length as u64)
                .ok_or_else(|| io::Error::other(FileErrorKind::LongWindow))?;
        }
        Ok(length)
    }
}

/// The window of the first frame of data, as a power of two (RFC 8878, 3.1.1.1); nothing when the frame needs none or is not seen.
fn window_log(mut bytes: &[u8]) -> Option<u32> {
    while let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, rest @ ..] = bytes {
        bytes = rest.get(u32::from_le_bytes([*a, *b, *c, *d]) as usize..)?;
    }
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] = *bytes else {
        return None;
    };
    let single_segment = descriptor & 0x20 != 0;
    // The mantissa makes a window a little larger than its power of two.
    (!single_segment).then(|| 10 + u32::from(window >> 3) + u32::from(window & 7 != 0))
}

/// An error of the decompressor as one of the archive; what the operating system says stays as it is.
fn told(format: &'static str, error: io::Error) -> io::Error {
    let text = error.to_string();
    if error.raw_os_error().is_some()
        || error.kind() == io::ErrorKind::UnexpectedEof
        || error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<FileErrorKind>)
    {
        error
    } else if text.contains("Unknown frame descriptor") {
        io::Error::other(FileErrorKind::Trailing(format))
    } else if text.contains("too much memory") {
        io::Error::other(FileErrorKind::LongWindow)
    } else {
        io::Error::other(FileErrorKind::Damaged(format, text))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    }

    fn long_zstd(text: &[u8], window: u32) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(window).expect("a window");
        encoder.write_all(text).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    }

    fn read(mut reader: impl Read) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        reader
            .read_to_end(&mut text)
            .map(|_| text)
            .map_err(|error| FileErrorKind::from(error).to_string())
    }

    fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
        // A tiny buffer puts its border into every place.
        read(Gunzip::new(io::BufReader::with_capacity(3, bytes)))
    }

    #[test]
    fn members_and_padding_are_read() {
        let (one, two) = (gzip(b"one"), gzip(b"two"));
        for zeros in [0, 1, 1024] {
            let bytes = [&one[..], &two, &vec![0; zeros]].concat();
            assert_eq!(gunzip(&bytes), Ok(b"onetwo".to_vec()), "{zeros}");
        }
    }

    #[test]
    fn what_is_no_member_is_told() {
        let one = gzip(b"one");
        for tail in [&b"more"[..], b"\0\0x", &[&[0; 8], &one[..]].concat()] {
            let reason = gunzip(&[&one[..], tail].concat()).expect_err("a tail");
            assert!(reason.contains("followed by other bytes"), "{reason}");
        }
        let reason = gunzip(&[&one[..], &one[..6]].concat()).expect_err("a cut member");
        assert!(reason.contains("the archive is truncated"), "{reason}");
        let mut damaged = one;
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        let reason = gunzip(&damaged).expect_err("another checksum");
        assert!(reason.contains("the gzip archive is damaged"), "{reason}");
    }

    #[test]
    fn a_long_window_is_read_as_long_as_little_comes_out() {
        for window in [27, 28, 31] {
            let bytes = long_zstd(b"little", window);
            assert_eq!(window_log(&bytes), Some(window));
            let skippable = [&b"\x50\x2a\x4d\x18\x01\0\0\0x"[..], &bytes].concat();
            for bytes in [bytes, skippable] {
                assert_eq!(
                    read(Unzstd::new(&bytes[..]).expect("a frame")),
                    Ok(b"little".to_vec())
                );
            }
        }
        let bytes = long_zstd(b"too much", 31);
        let mut reader = Unzstd::new(&bytes[..]).expect("a frame");
        reader.room = Some(4);
        let reason = read(reader).expect_err("too much");
        assert!(reason.contains("without `--long`"), "{reason}");
    }

    #[test]
    fn the_window_of_a_frame_that_is_no_frame_is_none() {
        for bytes in [
            &b""[..],
            b"\x28\xb5\x2f\xfd",
            b"\x50\x2a\x4d\x18\xff\xff\xff\xff",
            b"text and more",
        ] {
            assert_eq!(window_log(bytes), None);
        }
    }
}
