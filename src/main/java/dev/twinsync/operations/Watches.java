package dev.twinsync.operations;

import jakarta.annotation.PreDestroy;
import java.sql.Connection;
import java.sql.Statement;
import java.time.Duration;
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

    @Autowired
    Watches(
            @Qualifier("appPool") DataSource app,
            State state,
            TopicLag topics,
            @Value("${twinsync.health.interval:2s}") Duration interval) {
        Duration stale = interval.multipliedBy(3).plusSeconds(4);
        appDatabase = new Watch<>("the app's database", interval, stale, () -> answers(app));
        this.state = new Watch<>("the sync database", interval, stale, state::look);
        kafka = new Watch<>("Kafka", interval, stale, topics::look);
    }

    Watches(Watch<Boolean> appDatabase, Watch<Seen> state, Watch<TopicLag.Seen> kafka) {
        this.appDatabase = appDatabase;
        this.state = state;
        this.kafka = kafka;
    }

    /** What Twinsync's own tables say of its work, a few seconds old at most; empty while they can't be asked. */
    public Optional<Seen> seen() {
        return Optional.ofNullable(state.answer().value());
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
