//! Asking at a terminal, until an answer is one.

use std::io::{self, BufRead, Read as _, Write};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 4096;

/// Who is asked, and where the questions stand.
pub struct Terminal<R, W> {
    input: R,
    output: W,
}

impl<R: BufRead, W: Write> Terminal<R, W> {
    /// Reads answers from `input`, writes questions to `output`.
    pub fn new(input: R, output: W) -> Self {
        Self { input, output }
    }

    /// What `read` makes of the answer; of `default` where the answer is empty. What is none is said, and asked again.
    ///
    /// # Errors
    /// The terminal is gone, or there are no more answers.
    pub fn ask<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> io::Result<T> {
        loop {
            match default {
                Some(default) => write!(self.output, "{question} [{default}]: ")?,
                None => write!(self.output, "{question}: ")?,
            }
            self.output.flush()?;
            let mut line = String::new();
            if self.input.by_ref().take(LONGEST).read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let answer = match (line.trim(), default) {
                ("", Some(default)) => default,
                (answer, _) => answer,
            };
            match read(answer) {
                Ok(answer) => return Ok(answer),
                Err(why) => writeln!(self.output, "  {why}")?,
            }
        }
    }

    /// The same where nothing may be answered.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_optional<T>(
        &mut self,
        question: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> io::Result<Option<T>> {
        self.ask(question, None, |answer| if answer.is_empty() { Ok(None) } else { read(answer).map(Some) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<u8, String> {
        text.parse().map_err(|_| format!("{text:?} is no number"))
    }

    #[test]
    fn a_question_is_asked_until_the_answer_is_one() {
        let mut said = Vec::new();
        let mut terminal = Terminal::new(&b"many\n\n7\n\n"[..], &mut said);
        assert_eq!(terminal.ask("How many", None, number).unwrap(), 7);
        assert_eq!(terminal.ask("How many", Some("3"), number).unwrap(), 3);
        assert_eq!(terminal.ask("How many", None, number).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("\"many\" is no number") && said.contains("How many [3]: "), "{said}");
    }

    #[test]
    fn nothing_is_an_answer_where_it_may_be() {
        let mut terminal = Terminal::new(&b"\n5\n"[..], Vec::new());
        assert_eq!(terminal.ask_optional("How many", number).unwrap(), None);
        assert_eq!(terminal.ask_optional("How many", number).unwrap(), Some(5));
    }
}
