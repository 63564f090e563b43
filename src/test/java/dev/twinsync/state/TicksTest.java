package dev.twinsync.state;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.zaxxer.hikari.HikariDataSource;
import dev.twinsync.devservices.Postgres;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.springframework.dao.DataAccessException;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/** The clock that all instances share never goes back, whatever becomes of the server that keeps it. */
class TicksTest {

    private static final int SESSIONS = 12;

    @Test
    void ticksGoOnOverACrashAndARestoredBackup() throws Exception {
        try (Postgres postgres = Postgres.start(0)) {
            String url = "jdbc:postgresql://127.0.0.1:" + postgres.port() + "/app";
            long last = 0;
            try (HikariDataSource source =
                    new Databases().syncDataSource(url, "postgres", "postgres", SESSIONS, "", "")) {
                JdbcRecords records = records(source);
                for (int crash = 1; crash <= 3; crash++) {
                    last = lastBeforeACrash(postgres, records);
                    // the pool still has sessions that the crash ended
                    long next = await().ignoreExceptions().until(records::tick, tick -> tick > 0);
                    assertThat(next).as("after crash " + crash).isGreaterThan(last);
                    last = next;
                }
            }
            for (String lost : List.of("select setval('sync.tick', 7)", "drop schema sync cascade")) {
                postgres.execute("app", lost);
                try (HikariDataSource source = new Databases().syncDataSource(url, "postgres", "postgres", 3, "", "")) {
                    long next = records(source).tick();
                    assertThat(next).as("after " + lost).isGreaterThan(last);
                    last = next;
                }
            }
        }
    }

    private static JdbcRecords records(HikariDataSource source) {
        return new JdbcRecords(
                new Databases().syncJdbc(source), new TransactionTemplate(new DataSourceTransactionManager(source)));
    }

    /** Draws in all sessions at once until the server is gone, and starts it again. */
    private static long lastBeforeACrash(Postgres postgres, JdbcRecords records) throws Exception {
        AtomicLong last = new AtomicLong();
        AtomicBoolean gone = new AtomicBoolean();
        List<Thread> threads = new ArrayList<>();
        AtomicLong drawn = new AtomicLong();
        for (int i = 0; i < SESSIONS; i++) {
            Thread thread = new Thread(() -> {
                while (!gone.get()) {
                    try {
                        last.accumulateAndGet(records.tick(), Math::max);
                        drawn.incrementAndGet();
                    } catch (DataAccessException e) {
                        gone.set(true);
                    }
                }
            });
            threads.add(thread);
            thread.start();
        }
        await().until(() -> drawn.get() > 5_000);
        postgres.stopAtOnce();
        for (Thread thread : threads) {
            thread.join();
        }
        postgres.startAgain();
        return last.get();
    }
}
