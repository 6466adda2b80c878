//! Pictures from YUV4MPEG2 files, the format of mjpegtools that every video program writes: a line of parameters, then for each picture
//! a line `FRAME` and its three planes.

use std::io::{self, BufRead, Read as _};

use snowgate::{
    camera::pixels::{Chroma, Pixels, Plane},
    evidence::still::HasPixels,
};

/// The longest line of parameters.
const LONGEST_LINE: u64 = 1 << 10;

/// The most pixels a side.
const MAX_SIDE: usize = 8192;

/// A picture: I420, BT.601, video range.
#[derive(Debug)]
pub struct Frame {
    width: usize,
    height: usize,
    planes: [Vec<u8>; 3],
}

impl Frame {
    /// Pixels across and down.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }
}

impl HasPixels for Frame {
    fn pixels(&self) -> Pixels<'_> {
        let plane = |data, width, height| Plane { data, stride: width, width, height };
        let [luma, u, v] = &self.planes;
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        Pixels {
            luma: plane(luma, self.width, self.height),
            chroma: Chroma::Planar { u: plane(u, width, height), v: plane(v, width, height) },
            full_range: false,
            bt709: false,
        }
    }
}

/// Gives a file's pictures one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    file: R,
    width: usize,
    height: usize,
}

impl<R: BufRead> Reader<R> {
    /// Reads the parameters.
    ///
    /// # Errors
    /// It is no such file, or its pictures are not 4:2:0 of 8 bits.
    pub fn open(mut file: R) -> io::Result<Self> {
        let line = line(&mut file)?.unwrap_or_default();
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(unfit("no YUV4MPEG2 file"));
        }
        let (mut width, mut height) = (0, 0);
        for word in words {
            match word.split_at_checked(1) {
                Some(("W", value)) => width = side(value)?,
                Some(("H", value)) => height = side(value)?,
                Some(("C", "420" | "420jpeg" | "420mpeg2" | "420paldv")) => {}
                Some(("C", other)) => return Err(unfit(&format!("chroma {other}, where 4:2:0 of 8 bits is read"))),
                _ => {}
            }
        }
        if width == 0 || height == 0 { Err(unfit("no size")) } else { Ok(Self { file, width, height }) }
    }

    fn read(&mut self) -> io::Result<Option<Frame>> {
        match line(&mut self.file)? {
            None => return Ok(None),
            Some(line) if line.split(' ').next() == Some("FRAME") => {}
            Some(_) => return Err(unfit("no FRAME where a picture begins")),
        }
        let (width, height) = (self.width, self.height);
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let mut planes = [vec![0; width * height], vec![0; chroma], vec![0; chroma]];
        for plane in &mut planes {
            self.file.read_exact(plane)?;
        }
        Ok(Some(Frame { width, height, planes }))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = io::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The next line without its end; none at the end of the file.
fn line(file: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    file.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
    Ok(line.strip_suffix('\n').map(str::to_owned))
}

fn side(value: &str) -> io::Result<usize> {
    let side = value.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    side.ok_or_else(|| unfit(&format!("a side of {value} pixels")))
}

fn unfit(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pictures_come_one_after_the_other() {
        let mut file = b"YUV4MPEG2 W3 H2 F1:1 Ip C420jpeg\n".to_vec();
        for grey in [10, 20] {
            file.extend_from_slice(b"FRAME\n");
            file.extend_from_slice(&[grey; 6 + 2 + 2]);
        }
        let frames: Vec<Frame> = Reader::open(&file[..]).unwrap().map(Result::unwrap).collect();
        assert_eq!(frames.iter().map(|frame| frame.pixels().luma.data[5]).collect::<Vec<_>>(), [10, 20]);
        assert_eq!(frames[0].size(), (3, 2));
    }

    #[test]
    fn what_is_no_such_file_is_an_error() {
        for head in ["", "RIFF\n", "YUV4MPEG2 W3\n", "YUV4MPEG2 W3 H99999\n", "YUV4MPEG2 W2 H2 C444\n"] {
            assert!(Reader::open(head.as_bytes()).is_err(), "{head:?}");
        }
        let mut cut = Reader::open(&b"YUV4MPEG2 W2 H2\nFRAME\n123"[..]).unwrap();
        assert!(cut.next().is_some_and(|frame| frame.is_err()));
    }
}
