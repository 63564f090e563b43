package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.TextNode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Pushes that state no time, and that Kafka gives once more: a batch comes again when its offsets were not committed. */
class MergePushTest extends MergeStory {

    @BeforeEach
    void bothEndsAreEqual() {
        merge(reading("app", "0", 1));
        merge(reading("mini", "0", 3));
        assertThat(Due.is(schema, golden, bases.get("mini"))).isFalse();
    }

    @Test
    void twoThatComeAgainWhileTheSecondIsOnItsWayBackChangeNothing() {
        merge(push("1", 10));
        merge(push("2", 11));
        // a look at the pusher shows neither, so that it is told of the second
        intended("mini", "2");
        Golden before = golden;
        merge(push("1", 10));
        merge(push("2", 11));
        assertThat(golden).isEqualTo(before);
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("2"));
    }

    @Test
    void oneThatComesAgainAfterAnEditThatItsSystemHasSeenChangesNothing() {
        merge(push("1", 10));
        delivered("app");
        merge(reading("app", "2", 20));
        delivered("mini");
        Golden before = golden;
        merge(push("1", 10));
        assertThat(golden).isEqualTo(before);
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("2"));
    }

    @Test
    void oneThatArrivesLaterIsTaken() {
        merge(push("1", 10));
        delivered("app");
        merge(reading("app", "2", 20));
        delivered("mini");
        merge(push("1", 30));
        assertThat(golden.value("a")).isEqualTo(TextNode.valueOf("1"));
        merge(push("3", 30));
        assertThat(golden.value("a")).as("at the same moment, and behind it").isEqualTo(TextNode.valueOf("3"));
    }
}
