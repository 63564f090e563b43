package dev.twinsync.operations;

import jakarta.annotation.PreDestroy;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import javax.sql.DataSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** The neighbours that are watched, each on its own thread, so that one that hangs hides no other. */
@Component
public class Watches {

    final Watch<Boolean> appDatabase;
    final Watch<Seen> state;
    final Watch<TopicLag.Seen> kafka;
    private final Duration interval;

    @Autowired
    Watches(
            @Qualifier("appPool") DataSource app,
            State state,
            TopicLag topics,
            @Value("${twinsync.health.interval:2s}") Duration interval) {
        this.interval = interval;
        Duration stale = interval.multipliedBy(3).plusSeconds(4);
        appDatabase = new Watch<>("the app's database", interval, stale, () -> answers(app));
        this.state = new Watch<>("the sync database", interval, stale, state::look);
        kafka = new Watch<>("Kafka", interval, stale, topics::look);
    }

    Watches(Watch<Boolean> appDatabase, Watch<Seen> state, Watch<TopicLag.Seen> kafka) {
        this.appDatabase = appDatabase;
        this.state = state;
        this.kafka = kafka;
        this.interval = Duration.ofSeconds(2);
    }

    /** What Twinsync's own tables say of its work, a few seconds old at most; empty while they can't be asked. */
    public Optional<Seen> seen() {
        return Optional.ofNullable(state.answer().value());
    }

    /** All that was observed of an entity longer ago than this is merged by now; empty while Kafka does not say. */
    public Optional<Duration> behind(String entity) {
        String group = "merge-" + entity;
        TopicLag.Seen seen = kafka.answer().value();
        if (seen == null || !seen.groups().containsKey(group)) {
            return Optional.empty();
        }
        TopicLag.Behind behind = seen.groups().get(group);
        // the lag is exact to the interval of looking
        Duration lag = behind.records() == 0 ? Duration.ZERO : behind.lag().plus(interval);
        return Optional.of(lag.plus(Duration.between(seen.at(), Instant.now())));
    }

    private static boolean answers(DataSource database) throws Exception {
        try (Connection connection = database.getConnection();
                Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(3);
            return statement.execute("select 1");
        }
    }

    @PreDestroy
    void close() {
        appDatabase.close();
        state.close();
        kafka.close();
    }
}
