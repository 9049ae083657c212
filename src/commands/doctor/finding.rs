//! The result of one test.

use serde_json::{Value, json};

use crate::exit::Exit;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// As a push needs it.
    Ok,
    /// Worth a look.
    Warn,
    /// A push fails.
    Fail,
    /// Not looked at, since something before it failed.
    Skip,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How it is.
    pub(super) status: Status,
    /// What was found.
    pub(super) message: String,
    /// What to do, when the message does not say it.
    pub(super) todo: Option<String>,
    /// The exit code of a push that fails for it.
    pub(super) exit: Exit,
}

impl Finding {
    fn new(check: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self {
            check,
            status,
            message: message.into(),
            todo: None,
            exit: Exit::Complete,
        }
    }

    /// It is as it has to be.
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, message)
    }

    /// It is worth a look.
    pub(super) fn warn(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Warn, message)
    }

    /// It was not looked at.
    pub(super) fn skip(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Skip, message)
    }

    /// A push fails for it, with this exit code.
    pub(super) fn fail(check: &'static str, exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            ..Self::new(check, Status::Fail, message)
        }
    }

    /// With what to do.
    pub(super) fn todo(self, todo: impl Into<String>) -> Self {
        Self {
            todo: Some(todo.into()),
            ..self
        }
    }

    /// A line, and another one for what to do.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<5} {:<12} {}",
            self.status.name(),
            self.check,
            self.message.replace('\n', " ")
        )];
        if let Some(todo) = &self.todo {
            lines.push(format!("{:<18} to do: {todo}", ""));
        }
        lines
    }

    /// The same for a program.
    pub(super) fn json(&self) -> Value {
        json!({
            "check": self.check,
            "status": self.status.name(),
            "message": self.message,
            "todo": self.todo,
        })
    }
}

/// An error with what caused it, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
