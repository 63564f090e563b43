package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.proof.Anomaly;
import java.util.stream.LongStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** Any schedule over two or three systems ends equal, with nothing lost, nothing flipping and nothing going back. */
class MergePropertyTest {

    @Property(tries = 4000)
    @Anomaly({Anomaly.Of.A1, Anomaly.Of.A7, Anomaly.Of.A8, Anomaly.Of.A9, Anomaly.Of.A19})
    void anyScheduleEndsWithAllSystemsEqual(@ForAll long seed, @ForAll @IntRange(min = 2, max = 3) int systems) {
        assertThat(new World(seed, systems).run().broken)
                .as("schedule %d over %d systems", seed, systems)
                .isEmpty();
    }

    @Property(tries = 2000)
    void damageIsMendedWhileEditsGoOn(@ForAll long seed, @ForAll @IntRange(min = 2, max = 3) int systems) {
        assertThat(new World(seed, systems).damaged().broken)
                .as("schedule %d over %d systems", seed, systems)
                .isEmpty();
    }

    /** Each system has seen the same record and then makes an edit of its own: any order of arrival, the same winner. */
    @Property(tries = 2000)
    @Anomaly(Anomaly.Of.A19)
    void concurrentEditsHaveTheSameWinnerWhicheverArrivedFirst(@ForAll long seed) {
        assertThat(Race.outcomes(seed)).hasSize(1);
    }

    @org.junit.jupiter.api.Test
    void theSchedulesAreNotVacuous() {
        long writes = LongStream.range(0, 200)
                .map(seed -> new World(seed, 3).run().writes)
                .sum();
        long damages = LongStream.range(0, 200)
                .map(seed -> new World(seed, 3).damaged().damages)
                .sum();
        assertThat(damages).isGreaterThan(1000);
        long edits = LongStream.range(0, 200)
                .map(seed -> new World(seed, 3).run().edits)
                .sum();
        assertThat(edits).isGreaterThan(2000);
        assertThat(writes).isGreaterThan(edits / 4 / 3);
    }
}
