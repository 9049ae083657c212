-- For how long a platform had been found to take the rate of `pace` when it was kept. One that was measured for a moment is not begun with.
ALTER TABLE pace ADD COLUMN span_ms INTEGER NOT NULL DEFAULT 0 CHECK (span_ms >= 0);
