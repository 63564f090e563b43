package dev.twinsync.devservices;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** A gentle traffic of edits at both ends, so that there is something to watch; never at 123456 and 789012. */
final class Traffic implements AutoCloseable {

    private static final List<String> MOODS = List.of("爱喝茶", "在路上", "早睡早起", "吃货", "看海", "骑行中", "慢慢来");

    private final Random random = new Random();
    private final Postgres app;
    private final MiniProgram mini;
    private final ScheduledExecutorService clock = Executors.newSingleThreadScheduledExecutor(run -> {
        Thread thread = new Thread(run, "traffic");
        thread.setDaemon(true);
        return thread;
    });

    Traffic(Postgres app, MiniProgram mini) {
        this.app = app;
        this.mini = mini;
        clock.scheduleWithFixedDelay(this::edit, 5000, 1500, TimeUnit.MILLISECONDS);
    }

    private void edit() {
        try {
            int n = random.nextInt(60);
            String user = String.valueOf(200001 + n);
            String nickname = MOODS.get(random.nextInt(MOODS.size())) + random.nextInt(100);
            if (mini != null && (app == null || random.nextBoolean())) {
                if (mini.read("user", user) != null) {
                    mini.edit("user", user, Map.of("nickname", nickname));
                }
            } else if (app != null && random.nextBoolean()) {
                run("update users set nickname = ?, updated_at = clock_timestamp() where user_id = ?", nickname, user);
            } else if (app != null) {
                run("""
                        update orders set updated_at = clock_timestamp(),
                          status = case status when 'pending_payment' then 'paid' when 'paid' then 'shipped'
                            when 'shipped' then 'delivered' when 'delivered' then 'completed' else status end
                        where user_id = ? and order_id <> ?""", user, Demo.REFUSED);
            }
        } catch (SQLException | RuntimeException e) {
            // the next edit may get through
        }
    }

    private void run(String sql, String... arguments) throws SQLException {
        try (Connection connection = app.connect();
                PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < arguments.length; i++) {
                statement.setString(i + 1, arguments[i]);
            }
            statement.executeUpdate();
        }
    }

    @Override
    public void close() {
        clock.shutdownNow();
    }
}
