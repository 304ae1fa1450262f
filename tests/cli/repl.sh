#!/bin/bash
# `hearth run` on a terminal: somebody types, stops an answer, changes parameters, leaves.
. tests/cli/lib.sh

model=$models/stories260k.gguf
pty=$(dirname "$HEARTH")/tests/cli/pty
if [ ! -r $model ] || [ ! -x "$pty" ]; then
    [ -r $model ] && why="$pty is not built" || why="$model is missing"
    skip "interactive runs" "$why"
    finish
fi
export XDG_STATE_HOME=$work/state TERM=dumb LC_ALL=C.UTF-8
: >"$work/out"

session() # NAME ARGUMENTS...: the script is on standard input
{
    local name=$1
    shift
    "$pty" "$HEARTH" run "$@" >"$work/out" 2>"$work/err"
    ok "$name" $?
}

session "a prompt, another one, /bye" $model --temp 0 --num-predict 12 <<'END'
wait no chat template
wait >>>
type Once upon a time\n
wait there was a little girl named Lily
wait >>>
type She\n
wait >>>
type /bye\n
end 0
END

session "Ctrl-C stops the answer, not the program" $model --temp 0.8 --seed 1 --num-predict 100000 \
    --num-ctx 100000 <<'END'
wait >>>
type Once upon a time\n
wait there
type \c
wait >>>
type \c
wait Ctrl-D or /bye leaves.
wait >>>
type /show info\n
wait architecture
wait >>>
type \d
end 0
END

session "Ctrl-C drops the line and the block" $model --num-predict 4 <<'END'
wait >>>
type not this\c
wait Ctrl-D or /bye leaves.
wait >>>
type """nor\n
wait ...
type this\c
wait Ctrl-D or /bye leaves.
wait >>>
type /show info\n
wait 0 of
wait >>>
type \d
end 0
END

session "a prompt of many lines" $model --temp 0 --num-predict 4 --verbose <<'END'
wait >>>
type """Once upon\n
wait ...
type a time"""\n
wait eval count:
wait >>>
type /exit\n
end 0
END

session "parameters are set, shown, and checked" $model <<'END'
wait >>>
type /set parameter temperature 0\n
wait Set temperature to 0.
type /set parameter num_predict 3\n
wait Set num_predict to 3.
type /set parameter top_p 7\n
wait error: top_p: 7 is outside 0..1
type /set parameter xyzzy 1\n
wait error: no parameter 'xyzzy'
type /show parameters\n
wait seed               (another one each time)
wait stop               (none)
type /set parameter stop Lily girl\n
wait Set stop to 2 texts.
type /show parameters\n
wait top_p              0.9
wait num_predict        3
wait stop               Lily
wait stop               girl
type /set parameter stop\n
wait No text stops the answer now.
type /set verbose\n
wait Set 'verbose' mode.
type /set system "You are Tom"\n
wait Set the system text.
type /show system\n
wait You are Tom
type /set xyzzy\n
wait Usage: /set
type /shwo\n
wait Did you mean /show?
type /help\n
wait /clear
type /bye\n
end 0
END

session "a full context says so, /clear starts anew" $model --temp 0 --num-ctx 24 <<'END'
wait >>>
type Once upon a time\n
wait the context of 24 tokens is full; /clear starts anew
wait >>>
type more\n
wait but the context holds 24; /clear starts anew
wait >>>
type /clear\n
wait The text begins anew.
wait >>>
type Once upon a time\n
wait there was a little girl
wait >>>
type /bye\n
end 0
END

[ -s "$work/state/hearth/history" ] && grep -q 'xyzzy' "$work/state/hearth/history" &&
    [ "$(stat -c %a "$work/state/hearth/history")" = 600 ]
ok "the history is kept, for its owner only" $?
rm -rf "$work/state"
session "no history when it is not wanted" $model <<'END'
wait >>>
type /set nohistory\n
wait >>>
type /bye\n
end 0
END
[ ! -s "$work/state/hearth/history" ]
ok "nothing was kept" $?
finish
