//! What the user of a server may not do, and a push has to.

use crate::store::reader::{ReadError, Reader};

impl Reader {
    /// The rights that a push needs and the user of the server does not have, such as `INSERT on task`.
    pub(crate) async fn missing_rights(&mut self) -> Result<Vec<String>, ReadError> {
        // The server may ask the last condition of a row first, and that of a sequence fails for another thing.
        sqlx::query_scalar(
            "SELECT needed || ' on ' || c.relname FROM pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
             WHERE c.relnamespace = 'fleetpush'::regnamespace AND c.relkind = 'r' AND NOT has_table_privilege(c.oid, needed)
             UNION ALL
             SELECT 'USAGE on ' || c.relname FROM pg_class AS c
             WHERE c.relnamespace = 'fleetpush'::regnamespace AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE') END
             UNION ALL
             SELECT 'TEMPORARY on the database' WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
             ORDER BY 1",
        )
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))
    }
}
