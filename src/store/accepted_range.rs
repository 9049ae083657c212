//! How a task is found among the accepted ranges.

/// A condition on the task of this id: that it stands in no accepted range. A range is found by its key, since ranges do not overlap.
macro_rules! in_no_accepted_range {
    ($task:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM accepted_span AS g WHERE g.first_task = \
             (SELECT max(first_task) FROM accepted_span WHERE first_task <= ",
            $task,
            ") AND g.end_task > ",
            $task,
            ")"
        )
    };
}
pub(super) use in_no_accepted_range;
