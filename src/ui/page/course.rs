//! The course of a push as one picture: devices, requests and latency over the same time.

use std::time::Duration;

use svg::{
    Document, Node as _,
    node::element::{Group, Line, Path, Rectangle, Text, Title, path::Data},
};

use super::{axis, round};
use crate::{
    model::{Course, CourseStep, Latency, TaskState, Timestamp},
    ui::{
        number::{counted, grouped, rate},
        report::label,
    },
};

/// Left of the first step, for the numbers of the axes.
const LEFT: f64 = 58.0;
/// Right of the last step, for half of the last time.
const RIGHT: f64 = 18.0;
/// Above a panel, for its name and the keys of its colours.
const HEAD: f64 = 34.0;
/// Below the last panel, for the times.
const FOOT: f64 = 26.0;
/// The room that a time takes.
const TIME_WIDTH: f64 = 84.0;
/// The width of a letter of a panel's name, and of one beside a colour, more or less.
const NAME_LETTER: f64 = 7.6;
const KEY_LETTER: f64 = 6.2;

/// Draws it, so many units wide. Its colours are in the style of the page, so that it can be light and dark.
pub(super) fn draw(course: &Course, width: f64) -> String {
    let picture = Picture { course, width };
    let panels = [
        (picture.devices(), 180.0),
        (picture.sends(), 100.0),
        (picture.requests(), 70.0),
        (picture.latency(), 80.0),
    ];
    let bottom: f64 = panels.iter().map(|(_, height)| HEAD + height).sum();
    let mut document = Document::new()
        .set("viewBox", format!("0 0 {width} {}", bottom + FOOT))
        .set("class", "course")
        .set("role", "img")
        .set(
            "aria-label",
            "Devices, requests and latency over the time of the push",
        );
    picture.pauses(&mut document, bottom);
    let mut top = HEAD;
    for (panel, height) in panels {
        document.append(picture.panel(&panel, top, height));
        top += height + HEAD;
    }
    picture.times(&mut document, bottom);
    picture.hints(&mut document, bottom);
    document.to_string()
}

/// Curves that share an axis.
struct Panel {
    name: &'static str,
    curves: Vec<Curve>,
    unit: fn(f64) -> String,
}

/// One value for each step; none where there is nothing to tell.
struct Curve {
    /// In the style of the page.
    class: &'static str,
    name: &'static str,
    values: Vec<Option<f64>>,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Shape {
    Area,
    Line,
}

struct Picture<'c> {
    course: &'c Course,
    width: f64,
}

impl Picture<'_> {
    /// The tasks that have ended so far: each state stands on the one before it.
    fn devices(&self) -> Panel {
        let mut below = vec![0; self.course.steps.len()];
        let mut curves = Vec::new();
        for state in [TaskState::Accepted, TaskState::Failed, TaskState::InDoubt] {
            let mut sum = 0;
            for (height, step) in below.iter_mut().zip(&self.course.steps) {
                sum += match state {
                    TaskState::Accepted => step.accepted,
                    TaskState::Failed => step.failed,
                    TaskState::InDoubt => step.in_doubt,
                    TaskState::Skipped => 0,
                };
                *height += sum;
            }
            if sum > 0 {
                let values = below.iter().map(|height| Some(*height as f64)).collect();
                curves.push(Curve {
                    class: state.name(),
                    name: label(state),
                    values,
                    shape: Shape::Area,
                });
            }
        }
        Panel {
            name: "Devices",
            curves,
            unit: |value| grouped(value.round() as u64),
        }
    }

    fn sends(&self) -> Panel {
        let mut curves = Vec::new();
        if self.course.steps.iter().any(|step| step.throttled > 0) {
            curves.push(self.each_second("throttled", "throttled", |step| step.throttled));
        }
        curves.push(self.each_second("sends", "sent to", |step| step.devices));
        Panel {
            name: "Devices a second",
            curves,
            unit: tick,
        }
    }

    fn requests(&self) -> Panel {
        Panel {
            name: "Requests a second",
            curves: vec![self.each_second("requests", "answered", |step| step.requests)],
            unit: tick,
        }
    }

    fn latency(&self) -> Panel {
        let curve = |class, name, part: fn(Latency) -> Duration| Curve {
            class,
            name,
            values: self
                .course
                .steps
                .iter()
                .map(|step| step.latency.map(|latency| part(latency).as_secs_f64()))
                .collect(),
            shape: Shape::Line,
        };
        Panel {
            name: "Latency",
            curves: vec![
                curve("p50", "p50", |latency| latency.p50),
                curve("p95", "p95", |latency| latency.p95),
            ],
            unit: |seconds| latency(Duration::from_secs_f64(seconds.max(0.0))),
        }
    }

    fn each_second(
        &self,
        class: &'static str,
        name: &'static str,
        count: fn(&CourseStep) -> u64,
    ) -> Curve {
        let values = self.course.steps.iter();
        Curve {
            class,
            name,
            values: values
                .map(|step| Some(self.per_second(count(step))))
                .collect(),
            shape: Shape::Area,
        }
    }

    fn per_second(&self, number: u64) -> f64 {
        number as f64 / self.course.step.as_secs_f64().max(0.001)
    }

    fn panel(&self, panel: &Panel, top: f64, height: f64) -> Group {
        let highest = panel
            .curves
            .iter()
            .flat_map(|curve| curve.values.iter().flatten())
            .fold(0.0, |highest: f64, value| highest.max(*value));
        let step = axis::step(highest, if height > 120.0 { 4 } else { 2 });
        let ticks = (highest / step).ceil().max(1.0);
        let y = |value: f64| round(top + height * (1.0 - value / (step * ticks)));
        let mut group = Group::new();
        for tick in 0..=ticks as u32 {
            let value = step * f64::from(tick);
            let y = y(value);
            group.append(line("grid", (LEFT, y), (self.width - RIGHT, y)));
            group.append(text("tick end", LEFT - 8.0, y + 4.0, (panel.unit)(value)));
        }
        let above = top - 10.0;
        group.append(text("name", LEFT, above, panel.name));
        let mut x = LEFT + NAME_LETTER * panel.name.len() as f64 + 14.0;
        for curve in &panel.curves {
            group.append(
                rectangle(&format!("key {}", curve.class), x, 9.0)
                    .set("y", above - 9.0)
                    .set("height", 9),
            );
            group.append(text("key", x + 13.0, above, curve.name));
            x += 13.0 + KEY_LETTER * curve.name.len() as f64 + 12.0;
        }
        // The highest comes first, so that the others cover its lower part.
        for curve in panel.curves.iter().rev() {
            let path = match curve.shape {
                Shape::Area => self.area(&curve.values, &y),
                Shape::Line => self.line(&curve.values, &y),
            };
            group.append(Path::new().set("class", curve.class).set("d", path));
        }
        group
    }

    /// An area that rises and falls in steps.
    fn area(&self, values: &[Option<f64>], y: &impl Fn(f64) -> f64) -> Data {
        let mut path = Data::new().move_to((self.x(0), y(0.0)));
        let mut last = None;
        for (index, value) in values.iter().enumerate() {
            let height = y(value.unwrap_or(0.0));
            if last != Some(height) {
                path = path
                    .horizontal_line_to(self.x(index))
                    .vertical_line_to(height);
            }
            last = Some(height);
        }
        path.horizontal_line_to(self.x(values.len()))
            .vertical_line_to(y(0.0))
            .close()
    }

    /// A line through the middle of each step, broken where a step has no value.
    fn line(&self, values: &[Option<f64>], y: &impl Fn(f64) -> f64) -> Data {
        let mut path = Data::new();
        let mut is_drawn = false;
        for (index, value) in values.iter().enumerate() {
            if let Some(value) = value {
                let middle = round(self.x(index).midpoint(self.x(index + 1)));
                let point = (middle, y(*value));
                path = if is_drawn {
                    path.line_to(point)
                } else {
                    // A step alone is a dot, since lines have round ends.
                    path.move_to(point).horizontal_line_by(0)
                };
            }
            is_drawn = value.is_some();
        }
        path
    }

    /// Where a step begins.
    fn x(&self, step: usize) -> f64 {
        let share = step as f64 / self.course.steps.len().max(1) as f64;
        round(LEFT + share * (self.width - LEFT - RIGHT))
    }

    fn pauses(&self, document: &mut Document, bottom: f64) {
        let mut begin = 0;
        for steps in self.course.steps.chunk_by(|a, b| a.is_pause == b.is_pause) {
            let end = begin + steps.len();
            if steps.iter().any(|step| step.is_pause) {
                let (x, width) = (self.x(begin), self.x(end) - self.x(begin));
                document.append(
                    rectangle("pause", x, width)
                        .set("y", HEAD)
                        .set("height", bottom - HEAD),
                );
                if width > 50.0 {
                    let middle = x + width / 2.0;
                    document.append(text("pause middle", middle, HEAD + 16.0, "paused"));
                }
            }
            begin = end;
        }
    }

    fn times(&self, document: &mut Document, bottom: f64) {
        let span = self.course.step * self.course.steps.len() as u32;
        let room = self.width - LEFT - RIGHT;
        let step = axis::time_step(span, (room / TIME_WIDTH) as u32);
        for tick in axis::times(self.course.start, span, step) {
            let share = self.course.start.until(tick).as_secs_f64() / span.as_secs_f64();
            let x = round(LEFT + share * room);
            document.append(line("axis", (x, bottom), (x, bottom + 5.0)));
            let time = axis::clock(tick, step);
            document.append(text("tick middle", x, bottom + 19.0, time));
        }
    }

    /// What a step was, for whoever points at it.
    fn hints(&self, document: &mut Document, bottom: f64) {
        let mut group = Group::new().set("class", "hints");
        for (index, step) in self.course.steps.iter().enumerate() {
            let x = self.x(index);
            group.append(
                rectangle("hint", x, round(self.x(index + 1) - x))
                    .set("y", HEAD)
                    .set("height", bottom - HEAD)
                    .add(Title::new(self.hint(index, step))),
            );
        }
        document.append(group);
    }

    fn hint(&self, index: usize, step: &CourseStep) -> String {
        let Timestamp(at) = self.course.start.after(self.course.step * index as u32);
        let ended = step.accepted + step.failed + step.in_doubt;
        let mut words = vec![
            axis::clock(Timestamp(at), self.course.step),
            counted(ended, "device") + " ended",
            rate(self.per_second(step.devices)) + " devices/s",
            rate(self.per_second(step.requests)) + " requests/s",
        ];
        if step.throttled > 0 {
            words.push(counted(step.throttled, "device") + " throttled");
        }
        if let Some(Latency { p50, p95, .. }) = step.latency {
            words.push(format!("p50 {}, p95 {}", latency(p50), latency(p95)));
        }
        words.join(" · ")
    }
}

/// A latency: `96 ms`, `1.2 s`, `12 s`.
pub(super) fn latency(latency: Duration) -> String {
    if latency < Duration::from_secs(1) {
        format!("{} ms", latency.as_millis())
    } else if latency < Duration::from_secs(10) {
        format!("{} s", round(latency.as_secs_f64()))
    } else {
        format!("{:.0} s", latency.as_secs_f64())
    }
}

fn tick(value: f64) -> String {
    if value.fract() == 0.0 {
        grouped(value as u64)
    } else {
        format!("{value}")
    }
}

fn rectangle(class: &str, x: f64, width: f64) -> Rectangle {
    Rectangle::new()
        .set("class", class)
        .set("x", round(x))
        .set("width", round(width))
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Line {
    Line::new()
        .set("class", class)
        .set("x1", from.0)
        .set("y1", from.1)
        .set("x2", to.0)
        .set("y2", to.1)
}

fn text(class: &str, x: f64, y: f64, words: impl Into<String>) -> Text {
    Text::new(words)
        .set("class", class)
        .set("x", round(x))
        .set("y", round(y))
}
