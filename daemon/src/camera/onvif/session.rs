//! A conversation with one device: requests and answers, and who we are where it asks.
//!
//! Every request first goes without a user, until one is refused: a device that takes HTTP Digest says so with 401, one that takes
//! WS-UsernameToken alone with a fault (ONVIF Core Specification, "Authentication over HTTP and HTTPS"). So the one that it wants is known
//! before the password is used, and a wrong password is used once.

use std::time::Instant;

use jiff::SignedDuration;
use snowgate_core::secret::Secret;

use super::{
    fault::DeviceFault,
    http::{Answer, HttpClient},
    http_digest::{Challenge, Request},
    service::Service,
    soap::{self, Content},
    username_token,
    xml::Element,
};

/// A user and its password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// How requests say who we are.
enum Login {
    /// Not at all, as nobody has asked yet.
    Unasked,
    /// By a header of SOAP.
    Token,
    /// By a header of HTTP, so many times.
    Digest(Challenge, u32),
    /// Not any more: the password is wrong.
    Refused,
}

/// What came of a request.
enum Reply {
    /// What was asked for.
    Answer(Element),
    /// Who are you?
    WhoAreYou(Vec<String>),
}

/// A conversation.
pub struct Session<'a> {
    client: HttpClient,
    credentials: Option<&'a Credentials>,
    login: Login,
    /// Whether the password was good for an answer.
    is_accepted: bool,
    /// How far the device's clock is ahead of ours.
    ahead: SignedDuration,
    /// When it must have ended.
    end: Instant,
}

impl<'a> Session<'a> {
    /// A conversation that asks nothing any more from `end` on.
    pub fn new(client: HttpClient, credentials: Option<&'a Credentials>, end: Instant) -> Self {
        let login = Login::Unasked;
        Self { client, credentials, login, is_accepted: false, ahead: SignedDuration::ZERO, end }
    }

    /// Says how far the device's clock is ahead of ours.
    pub fn set_ahead(&mut self, ahead: SignedDuration) {
        self.ahead = ahead;
    }

    /// Asks without saying who we are: the device's time must be known before a token is made.
    ///
    /// # Errors
    /// The device does not answer, or not what was asked, or asks for a user.
    pub fn ask_openly(&mut self, service: &Service, namespace: &str, action: &str) -> Result<Element, DeviceFault> {
        match self.send(&Question::new(service, namespace, action, ""))? {
            Reply::Answer(answer) => Ok(answer),
            Reply::WhoAreYou(_) => Err(DeviceFault::UserNeeded),
        }
    }

    /// Asks `namespace`'s `action`; `parameters` are the XML inside, where `q` is that namespace. The answer's element.
    ///
    /// # Errors
    /// The device does not answer, or not what was asked.
    pub fn ask(
        &mut self,
        service: &Service,
        namespace: &str,
        action: &str,
        parameters: &str,
    ) -> Result<Element, DeviceFault> {
        let question = Question::new(service, namespace, action, parameters);
        let challenges = match self.send(&question)? {
            Reply::Answer(answer) => return Ok(answer),
            Reply::WhoAreYou(challenges) => challenges,
        };
        self.log_in(&challenges, action)?;
        match self.send(&question)? {
            Reply::Answer(answer) => {
                self.is_accepted = true;
                Ok(answer)
            }
            Reply::WhoAreYou(_) if self.is_accepted => Err(DeviceFault::Forbidden { action: action.to_owned() }),
            Reply::WhoAreYou(_) => {
                self.login = Login::Refused;
                Err(DeviceFault::WrongPassword)
            }
        }
    }

    /// Chooses how to say who we are. A password that was good may be used again: nonces have a life.
    fn log_in(&mut self, challenges: &[String], action: &str) -> Result<(), DeviceFault> {
        if self.credentials.is_none() {
            return Err(DeviceFault::UserNeeded);
        }
        let challenge = Challenge::best(challenges.iter().map(String::as_str));
        self.login = match (&self.login, challenge) {
            (Login::Refused, _) => return Err(DeviceFault::WrongPassword),
            (_, Some(challenge)) => Login::Digest(challenge, 0),
            // Asked the same way again, it would say the same again.
            (Login::Token, None) => return Err(DeviceFault::Forbidden { action: action.to_owned() }),
            (_, None) => Login::Token,
        };
        Ok(())
    }

    fn send(&mut self, question: &Question<'_>) -> Result<Reply, DeviceFault> {
        if Instant::now() >= self.end {
            return Err(DeviceFault::OutOfTime);
        }
        let (mut header, mut authorization) = (String::new(), None);
        let internal = |error: openssl::error::ErrorStack| DeviceFault::Internal { what: error.to_string() };
        match (&mut self.login, self.credentials) {
            (Login::Token, Some(user)) => {
                header = username_token::header(&user.username, &user.password, self.ahead).map_err(internal)?;
            }
            (Login::Digest(challenge, count), Some(user)) => {
                *count += 1;
                let request = Request { method: "POST", uri: question.service.path(), count: *count };
                authorization = Some(challenge.answer(&request, &user.username, &user.password).map_err(internal)?);
            }
            _ => {}
        }
        let text = soap::envelope(&header, &question.body);
        let answer = self.client.post(question.service, &question.full_action, authorization.as_deref(), &text)?;
        read(answer, question.action)
    }
}

struct Question<'a> {
    service: &'a Service,
    action: &'a str,
    full_action: String,
    body: String,
}

impl<'a> Question<'a> {
    fn new(service: &'a Service, namespace: &str, action: &'a str, parameters: &str) -> Self {
        let body = format!("<q:{action} xmlns:q=\"{namespace}\">{parameters}</q:{action}>");
        Self { service, action, full_action: format!("{namespace}/{action}"), body }
    }
}

fn read(answer: Answer, action: &str) -> Result<Reply, DeviceFault> {
    match answer.status {
        300..=399 => return Err(DeviceFault::Redirects),
        401 => return Ok(Reply::WhoAreYou(answer.challenges)),
        _ => {}
    }
    match soap::read(&answer.body) {
        Ok(Content::Fault(fault)) if fault.asks_for_user => Ok(Reply::WhoAreYou(answer.challenges)),
        Ok(Content::Fault(fault)) => Err(DeviceFault::Refused { action: action.to_owned(), fault }),
        Ok(Content::Body(body)) if body.name() == format!("{action}Response") => Ok(Reply::Answer(body)),
        Ok(Content::Body(_)) => Err(DeviceFault::NotOnvif { what: format!("it answers {action} with something else") }),
        Err(_) if !(200..300).contains(&answer.status) => {
            Err(DeviceFault::NotOnvif { what: format!("it answers {action} with HTTP status {}", answer.status) })
        }
        Err(error) => Err(error.into()),
    }
}
