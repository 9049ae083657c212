//! The course of a run, read in one pass over its requests and its ends.

use std::{collections::BTreeMap, time::Duration};

use futures::TryStreamExt as _;

use super::RunRow;
use crate::{
    model::{Course, CourseStep, Latency, TaskState, Timestamp},
    store::reader::{ReadError, Reader},
};

/// The most steps of a course.
const MOST_STEPS: i64 = 120;

/// How long a step may be, in milliseconds: what clocks show.
const STEPS: [i64; 28] = [
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    20_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_200_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
];

/// Less than this without a request in flight is no pause.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);

const SPAN: &str = "SELECT min(coalesce(sent_at, finished_at)), max(coalesce(finished_at, sent_at)) \
     FROM request WHERE run_id = ? AND released = 0 AND coalesce(sent_at, finished_at) IS NOT NULL";

const REQUESTS: &str = "SELECT coalesce(sent_at, finished_at), finished_at, devices, CASE WHEN http_status IS NOT NULL THEN latency_ms END FROM request \
     WHERE run_id = ? AND released = 0 AND finished_at IS NOT NULL";

const ENDS: &str = "SELECT (finished_at - ?3) / ?4, state, count(*) FROM outcome \
     WHERE task_id >= ?1 AND task_id < ?2 AND state <> 4 GROUP BY 1, 2 \
     UNION ALL \
     SELECT (finished_at - ?3) / ?4, 1, CAST(sum(end_task - first_task) AS bigint) FROM accepted_span \
     WHERE first_task >= ?1 AND first_task < ?2 GROUP BY 1";

const THROTTLES: &str = "SELECT (q.finished_at - ?3) / ?4, count(*) FROM (\
         SELECT request_id FROM attempt WHERE task_id >= ?1 AND task_id < ?2 AND class IN (2, 3) \
         UNION ALL \
         SELECT request_id FROM outcome WHERE task_id >= ?1 AND task_id < ?2 AND class IN (2, 3) AND request_id IS NOT NULL\
     ) AS s JOIN request AS q ON q.id = s.request_id GROUP BY 1";

const SENDS: &str = "SELECT attempts, CAST(sum(n) AS bigint) FROM (\
         SELECT attempts, count(*) AS n FROM outcome WHERE task_id >= ?1 AND task_id < ?2 AND attempts > 0 GROUP BY attempts \
         UNION ALL \
         SELECT 1, sum(end_task - first_task) FROM accepted_span WHERE first_task >= ?1 AND first_task < ?2\
     ) AS sent WHERE n > 0 GROUP BY attempts ORDER BY attempts";

impl Reader {
    /// The course of a run; none before its first request has ended.
    pub(crate) async fn course(&mut self, run: &RunRow) -> Result<Option<Course>, ReadError> {
        self.read_course(run)
            .await
            .map_err(|error| self.failure(error))
    }

    /// How many tasks were sent once, twice and so on until they ended.
    pub(crate) async fn times_sent(&mut self, run: &RunRow) -> Result<Vec<(u64, u64)>, ReadError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(SENDS)
            .bind(run.first_task)
            .bind(run.end_task)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(rows
            .into_iter()
            .map(|(sends, tasks)| (sends as u64, tasks as u64))
            .collect())
    }

    async fn read_course(&mut self, run: &RunRow) -> Result<Option<Course>, sqlx::Error> {
        let span: (Option<i64>, Option<i64>) = sqlx::query_as(SPAN)
            .bind(run.id.0)
            .fetch_one(&mut self.connection)
            .await?;
        let (Some(first), Some(last)) = span else {
            return Ok(None);
        };
        let mut scale = Scale::over(first, last);
        self.read_requests(run, &mut scale).await?;
        self.read_ends(run, &mut scale).await?;
        Ok(Some(scale.into_course()))
    }

    async fn read_requests(&mut self, run: &RunRow, scale: &mut Scale) -> Result<(), sqlx::Error> {
        let mut rows = sqlx::query_as(REQUESTS)
            .bind(run.id.0)
            .fetch(&mut self.connection);
        while let Some((sent, finished, devices, latency)) = rows.try_next().await? {
            scale.request(sent, finished, devices, latency);
        }
        Ok(())
    }

    async fn read_ends(&mut self, run: &RunRow, scale: &mut Scale) -> Result<(), sqlx::Error> {
        let ends: Vec<(i64, i64, i64)> = sqlx::query_as(ENDS)
            .bind(run.first_task)
            .bind(run.end_task)
            .bind(scale.start)
            .bind(scale.step)
            .fetch_all(&mut self.connection)
            .await?;
        for (index, state, tasks) in ends {
            let step = scale.at(index);
            let count = match TaskState::from_number(state) {
                Some(TaskState::Accepted) => &mut step.accepted,
                Some(TaskState::Failed) => &mut step.failed,
                Some(TaskState::InDoubt) => &mut step.in_doubt,
                Some(TaskState::Skipped) | None => continue,
            };
            *count += tasks as u64;
        }
        let throttles: Vec<(i64, i64)> = sqlx::query_as(THROTTLES)
            .bind(run.first_task)
            .bind(run.end_task)
            .bind(scale.start)
            .bind(scale.step)
            .fetch_all(&mut self.connection)
            .await?;
        for (index, devices) in throttles {
            scale.at(index).throttled += devices as u64;
        }
        Ok(())
    }
}

/// A course that is being counted.
struct Scale {
    start: i64,
    step: i64,
    steps: Vec<CourseStep>,
    /// By how many more requests are in flight in a step than in the one before.
    rise: Vec<i64>,
    /// How many requests of each step took so many milliseconds.
    latencies: Vec<BTreeMap<u64, u64>>,
}

impl Scale {
    fn over(first: i64, last: i64) -> Self {
        let wanted = (last - first) / MOST_STEPS + 1;
        let step = STEPS
            .into_iter()
            .find(|&step| step >= wanted)
            .unwrap_or(wanted);
        let start = first.div_euclid(step) * step;
        let count = usize::try_from((last - start) / step + 1).unwrap_or(1);
        Self {
            start,
            step,
            steps: vec![CourseStep::default(); count],
            rise: vec![0; count + 1],
            latencies: vec![BTreeMap::new(); count],
        }
    }

    /// The step with this number. What ended without a request, before the first or after the last, is told in the step beside it.
    fn at(&mut self, index: i64) -> &mut CourseStep {
        let index = self.clamped(index);
        &mut self.steps[index]
    }

    fn clamped(&self, index: i64) -> usize {
        usize::try_from(index)
            .unwrap_or(0)
            .min(self.steps.len() - 1)
    }

    fn request(&mut self, sent: i64, finished: i64, devices: i64, latency: Option<i64>) {
        let begun = self.clamped((sent - self.start) / self.step);
        let ended = self.clamped((finished - self.start) / self.step);
        self.rise[begun] += 1;
        self.rise[ended.max(begun) + 1] -= 1;
        let step = &mut self.steps[ended];
        step.requests += 1;
        step.devices += devices as u64;
        if let Some(latency) = latency {
            *self.latencies[ended]
                .entry(latency.unsigned_abs())
                .or_default() += 1;
        }
    }

    fn into_course(mut self) -> Course {
        for (step, latencies) in self.steps.iter_mut().zip(self.latencies) {
            let histogram: Vec<(u64, u64)> = latencies.into_iter().collect();
            step.latency = Latency::of(&histogram);
        }
        let mut in_flight = 0;
        let idle: Vec<bool> = self
            .rise
            .iter()
            .take(self.steps.len())
            .map(|rise| {
                in_flight += rise;
                in_flight == 0
            })
            .collect();
        let shortest = (SHORTEST_PAUSE.as_millis() as i64 / self.step).max(1) as usize;
        let mut index = 0;
        while index < idle.len() {
            let length = idle[index..].iter().take_while(|idle| **idle).count();
            if length >= shortest {
                for step in &mut self.steps[index..index + length] {
                    step.is_pause = true;
                }
            }
            index += length.max(1);
        }
        Course {
            start: Timestamp(self.start),
            step: Duration::from_millis(self.step as u64),
            steps: self.steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_no_more_than_the_most() {
        for (first, last, step, steps) in [
            (1_005, 1_005, 10, 1),
            (1_005, 2_000, 10, 101),
            (0, 119_999, 1_000, 120),
            (0, 120_000, 2_000, 61),
            (7, 31_536_000_000, 604_800_000, 53),
        ] {
            let scale = Scale::over(first, last);
            assert_eq!((scale.step, scale.steps.len()), (step, steps));
            assert!(scale.start <= first && last < scale.start + step * steps as i64);
        }
    }

    #[test]
    fn a_pause_is_a_long_time_without_a_request_in_flight() {
        let mut scale = Scale::over(0, 100_000);
        assert_eq!(scale.step, 1_000);
        // In flight over 10 s, then nothing for 4 s, then one, and nothing for long.
        scale.request(0, 10_000, 100, Some(10_000));
        scale.request(15_500, 15_900, 50, Some(400));
        scale.request(100_000, 100_000, 1, None);
        scale.at(-5).failed += 1;
        scale.at(1_000).accepted += 2;
        let course = scale.into_course();
        let paused: Vec<usize> = (0..course.steps.len())
            .filter(|&step| course.steps[step].is_pause)
            .collect();
        assert_eq!(paused, (16..100).collect::<Vec<_>>());
        let (first, last) = (course.steps[0], course.steps[100]);
        assert_eq!((first.failed, last.accepted, last.requests), (1, 2, 1));
        assert_eq!((last.latency, course.steps[15].devices), (None, 50));
        let worst = course.steps[10].latency.map(|latency| latency.worst);
        assert_eq!(worst, Some(Duration::from_secs(10)));
    }
}
