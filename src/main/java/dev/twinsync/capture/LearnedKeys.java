package dev.twinsync.capture;

import dev.twinsync.merge.Observation;
import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import dev.twinsync.state.Observations;
import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;

/** The step of the flows {@code log-*} and {@code feed-*}: reads the records whose keys were learned and publishes them. */
@Component("learnedKeys")
public class LearnedKeys {

    private final Capture capture;
    private final KeySweep sweep;
    private final Schemas schemas;
    private final Observations observations;
    private final Gaps gaps;
    private final int page;

    LearnedKeys(
            Capture capture,
            KeySweep sweep,
            Schemas schemas,
            Observations observations,
            Gaps gaps,
            @Value("${twinsync.capture.app.page}") int page) {
        this.capture = capture;
        this.sweep = sweep;
        this.schemas = schemas;
        this.observations = observations;
        this.gaps = gaps;
        this.page = page;
    }

    /**
     * When it returns, Kafka has a reading of every key, and what was missed is going to be read. Records that are gone
     * are told at once, but for a mass deletion: that is left to the key sweep, which holds it back.
     */
    public void read(String system, String entity, Learned learned) {
        Schema schema = schemas.of(entity);
        if (learned.missed() != null) {
            gaps.found(system, entity, learned.missed());
        }
        List<String> ids =
                learned.ids().stream().filter(id -> schema.refuseId(id) == null).toList();
        for (int i = 0; i < ids.size(); i += page) {
            List<Observation> readings = capture.look(system, entity, ids.subList(i, Math.min(ids.size(), i + page)));
            List<String> gone = readings.stream()
                    .filter(reading -> !reading.exists())
                    .map(Observation::id)
                    .toList();
            boolean all = gone.isEmpty() || sweep.lets(system, schema, gone);
            observations.publish(
                    all
                            ? readings
                            : readings.stream().filter(Observation::exists).toList());
        }
    }
}
