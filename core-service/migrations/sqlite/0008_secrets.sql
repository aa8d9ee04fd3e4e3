-- Random keys that this service generated for itself, as hexadecimal digits.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
