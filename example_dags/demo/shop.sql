CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id int NOT NULL REFERENCES users,
    total numeric(10, 2) NOT NULL
);
CREATE TABLE outbox (id int PRIMARY KEY, recipient text NOT NULL, subject text NOT NULL);
CREATE TABLE settings (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO settings VALUES ('payments', 'live');
