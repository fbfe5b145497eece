INSERT INTO users
    SELECT n, 'User ' || n, 'user' || n || '@example.invalid' FROM generate_series(1, 40) n;
INSERT INTO orders (user_id, total) SELECT 1 + n % 40, n % 97 FROM generate_series(1, 90) n;
UPDATE settings SET value = 'test' WHERE name = 'payments';
