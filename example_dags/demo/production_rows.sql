INSERT INTO users
    SELECT n, 'Ada Lovelace ' || n, 'ada.lovelace' || n || '@mail.example.com'
    FROM generate_series(1, 500) n;
INSERT INTO orders (user_id, total) SELECT 1 + n % 500, n % 97 FROM generate_series(1, 2000) n;
INSERT INTO outbox SELECT id, email, 'Your order' FROM users WHERE id <= 20;
