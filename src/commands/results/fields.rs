//! The columns of a listing of results: those of the view `results`, and labels.

use anyhow::anyhow;
use serde_json::{Map, Value as Json};

use crate::{
    exit::Failure,
    model::Class,
    settings::did_you_mean,
    store::{ResultRow, RunRow},
    ui::format::{Column, Value},
};

/// How a label's column is called: `label.site`.
const LABEL: &str = "label.";

/// How a cell is read from a row of a run.
type Read = for<'a> fn(&'a RunRow, &'a ResultRow) -> Value<'a>;

/// A column of the view, whether people see it unasked, and its cells.
struct Known(&'static str, bool, Read);

/// The columns of the view `results`, in its order.
const VIEW: [Known; 23] = [
    Known("run", false, |run, _| Value::Integer(run.id.0)),
    Known("name", false, |run, _| Value::Foreign(&run.name)),
    Known("line", true, |_, row| Value::Integer(row.line)),
    Known("product_key", true, |_, row| {
        Value::foreign(row.product_key.as_deref())
    }),
    Known("device_key", true, |_, row| Value::Foreign(&row.device_key)),
    Known("state", true, |_, row| Value::State(row.status.name())),
    Known("class", true, |_, row| {
        Value::own(row.class.map(Class::name))
    }),
    Known("code", true, |_, row| Value::integer(row.code)),
    Known("message", true, |_, row| {
        Value::foreign(row.message.as_deref())
    }),
    Known("ticket", true, |_, row| {
        Value::foreign(row.ticket.as_deref())
    }),
    Known("attempts", true, |_, row| Value::Integer(row.attempts)),
    Known("request_id", false, |_, row| Value::integer(row.request_id)),
    Known("due_at", true, |_, row| Value::own(row.due_at)),
    Known("finished_at", false, |_, row| Value::own(row.finished_at)),
    Known("data", false, |_, row| Value::foreign(row.data.as_deref())),
    Known("labels", false, |_, row| json(row.labels.as_deref())),
    Known("qos", false, |_, row| Value::integer(row.qos)),
    Known("is_cache", false, |_, row| {
        Value::integer(row.is_cache.map(i64::from))
    }),
    Known("cache_time", false, |_, row| Value::integer(row.cache_time)),
    Known("is_cover", false, |_, row| {
        Value::integer(row.is_cover.map(i64::from))
    }),
    Known("extend_para", false, |_, row| {
        json(row.extend_para.as_deref())
    }),
    Known("delivery", false, |_, row| {
        Value::foreign(row.delivery.as_deref())
    }),
    Known("delivery_at", false, |_, row| Value::own(row.delivery_at)),
];

fn json(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::None, Value::Json)
}

/// What a column shows.
enum Field {
    /// A column of the view.
    Known(Read),
    /// The label of this name.
    Label(String),
}

/// Chosen columns, in their order.
pub(super) struct Fields {
    columns: Vec<Column>,
    fields: Vec<Field>,
}

impl Fields {
    /// Every column of the view.
    pub(super) fn all() -> Self {
        Self {
            columns: VIEW
                .iter()
                .map(|Known(name, shown, _)| {
                    if *shown {
                        Column::shown(name)
                    } else {
                        Column::hidden(name)
                    }
                })
                .collect(),
            fields: VIEW
                .iter()
                .map(|Known(_, _, read)| Field::Known(*read))
                .collect(),
        }
    }

    /// The columns of these names, as the flag `--{flag}` has them.
    pub(super) fn named<'n>(
        names: impl IntoIterator<Item = &'n str>,
        flag: &str,
    ) -> Result<Self, Failure> {
        let mut chosen = Self {
            columns: Vec::new(),
            fields: Vec::new(),
        };
        for name in names {
            let known = VIEW.iter().find(|known| known.0 == name);
            let label = name.strip_prefix(LABEL).filter(|label| !label.is_empty());
            let field = match (known, label) {
                (Some(known), _) => Field::Known(known.2),
                (None, Some(label)) => Field::Label(label.to_owned()),
                (None, None) => return Err(unknown(name, flag)),
            };
            chosen.columns.push(Column::named(name.to_owned()));
            chosen.fields.push(field);
        }
        Ok(chosen)
    }

    /// The columns as a listing needs them.
    pub(super) fn columns(&self) -> Vec<Column> {
        self.columns.clone()
    }

    /// The labels among them.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(|field| match field {
            Field::Known(_) => None,
            Field::Label(name) => Some(name.as_str()),
        })
    }

    /// Hands the cells of a row to somebody.
    pub(super) fn with_values<T>(
        &self,
        run: &RunRow,
        row: &ResultRow,
        take: impl FnOnce(&[Value<'_>]) -> T,
    ) -> T {
        let labels = if self.labels().next().is_some() {
            labels_of(row)
        } else {
            Map::new()
        };
        let values: Vec<Value<'_>> = self
            .fields
            .iter()
            .map(|field| match field {
                Field::Known(read) => read(run, row),
                Field::Label(name) => match labels.get(name) {
                    None | Some(Json::Null) => Value::None,
                    Some(Json::String(text)) => Value::Foreign(text),
                    // A number or a truth value of JSON lines, which has no characters of its own.
                    Some(other) => Value::Own(other.to_string().into()),
                },
            })
            .collect();
        take(&values)
    }
}

/// The labels of a row; none where they cannot be read.
pub(super) fn labels_of(row: &ResultRow) -> Map<String, Json> {
    row.labels
        .as_deref()
        .and_then(|labels| serde_json::from_str(labels).ok())
        .unwrap_or_default()
}

fn unknown(name: &str, flag: &str) -> Failure {
    let names = || VIEW.iter().map(|known| known.0);
    let all: Vec<&str> = names().collect();
    Failure::usage(anyhow!(
        "--{flag}: there is no column '{name}'{}; the columns are {}, and label.NAME for a label, as in label.{name}",
        did_you_mean(name, names()).trim_end_matches('?'),
        all.join(", ")
    ))
}
