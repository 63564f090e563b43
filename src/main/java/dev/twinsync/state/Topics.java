package dev.twinsync.state;

import dev.twinsync.record.Schema;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.NewTopic;

/** The topics of an entity: transport and buffer, never memory. */
public final class Topics {

    /** Bytes that a record of a topic may have; the producers are set to the same. */
    static final int LARGEST_MESSAGE = 4 * 1024 * 1024;

    private Topics() {}

    public static String observed(String entity) {
        return entity + ".observed";
    }

    public static String changed(String entity) {
        return entity + ".changed";
    }

    public static String deadLetters(String topic) {
        return topic + "-dlt";
    }

    static List<NewTopic> of(Schema schema, int partitions, short replicas, long retentionMs) {
        List<NewTopic> topics = new ArrayList<>();
        for (String topic : List.of(observed(schema.entity()), changed(schema.entity()))) {
            for (String name : List.of(topic, deadLetters(topic))) {
                topics.add(new NewTopic(name, partitions, replicas)
                        .configs(Map.of(
                                "retention.ms", String.valueOf(retentionMs),
                                "cleanup.policy", "delete",
                                "max.message.bytes", String.valueOf(LARGEST_MESSAGE))));
            }
        }
        return topics;
    }
}
